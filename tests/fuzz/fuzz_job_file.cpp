// Feeds arbitrary text to the reader of job files. What is accepted is written out in full and must
// read back as the same job.

#include <string>

#include "pipeline/config/run_config.hpp"
#include "pipeline/failure.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const config::RunConfig job = config::parse_run_config(text, "job.yaml", "/jobs", {});
    const std::string resolved = config::resolved_text(job);
    const config::RunConfig again = config::parse_run_config(resolved, "again.yaml", "/", {});
    require(config::resolved_text(again) == resolved);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::config);
    require(std::string_view(failure.what()).starts_with("job.yaml:"));
  }
  return 0;
}
