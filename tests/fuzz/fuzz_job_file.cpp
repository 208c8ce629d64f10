// Feeds arbitrary text to the reader of job files and sweeps. What is accepted is written out in
// full and must read back as the same job.

#include <set>
#include <string>

#include "pipeline/config/sweep.hpp"
#include "pipeline/failure.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

// The text of a job that reads back as the same job.
std::string checked_text(const config::RunConfig& job) {
  const std::string resolved = config::resolved_text(job);
  const config::RunConfig again = config::parse_run_config(resolved, "again.yaml", "/", {});
  require(config::resolved_text(again) == resolved);
  return resolved;
}

void read_as_sweep(const std::string& text) {
  const config::Sweep sweep = config::parse_sweep(text, "job.yaml", "/jobs", {});
  require(!sweep.points.empty() && !sweep.measurements.empty());
  std::set<std::string> jobs;
  for (const config::SweepPoint& point : sweep.points) {
    require(point.measurement < sweep.measurements.size());
    require(jobs.insert(checked_text(point.job)).second);
  }
  for (const config::RunConfig& measurement : sweep.measurements) checked_text(measurement);
}

// Calls `read`, which accepts the text or names a place in it.
template <class Read>
void require_clear_answer(Read read) {
  try {
    read();
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::config);
    require(std::string_view(failure.what()).starts_with("job.yaml:"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  require_clear_answer(
      [&] { checked_text(config::parse_run_config(text, "job.yaml", "/jobs", {})); });
  if (text.find(config::kSweepKey) != std::string::npos) {
    require_clear_answer([&] { read_as_sweep(text); });
  }
  return 0;
}
