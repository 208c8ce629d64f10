#include "pipeline/commands/job.hpp"

#include <cerrno>
#include <filesystem>
#include <string>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"

namespace shardquant::commands {

namespace {

// Neither is in the text of a job.
constexpr char kEndOfJob = '\0';
constexpr char kMeasure = '\1', kQuantize = '\2';

std::string text_of(const std::vector<Job>& jobs) {
  std::string text;
  for (const Job& job : jobs) {
    text += job.last == LastStage::measure ? kMeasure : kQuantize;
    text += config::resolved_text(job.config) + kEndOfJob;
  }
  return text;
}

// Said before any work is done: at the end, when the output is written, it would be late.
void require_folder(const char* setting, const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) || std::filesystem::is_directory(path, error)) return;
  fail(ExitCode::cannot_create,
       "{}: {} is a file; name a folder, which is made where it is missing", path.string(),
       setting);
}

}  // namespace

std::vector<Job> agree_on_jobs(comm::Communicator& comm,
                               const std::function<std::vector<Job>()>& read) {
  std::string text;
  comm::on_root(comm, [&] {
    const std::vector<Job> jobs = read();
    for (const Job& job : jobs) {
      require_folder("work.dir", job.config.work.dir);
      if (job.last == LastStage::quantize) require_folder("output.dir", job.config.output.dir);
    }
    text = text_of(jobs);
  });
  text = comm::broadcast_text(comm, std::move(text));
  std::vector<Job> jobs;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find(kEndOfJob, begin);
    const auto last = text[begin] == kMeasure ? LastStage::measure : LastStage::quantize;
    jobs.push_back(
        {config::parse_run_config(text.substr(begin + 1, end - begin - 1), "job", "/", {}), last});
    begin = end + 1;
  }
  return jobs;
}

const weights::WeightFormat& format_of(const config::RunConfig& job) {
  const weights::WeightFormat* format = weights::find_weight_format(job.output.format);
  if (format == nullptr) fail(ExitCode::internal, "output.format: no {}", job.output.format);
  return job.measure.asymmetric == "true" ? *format->with_asymmetric() : *format;
}

void make_sweep_folders(const config::Sweep& sweep) {
  std::error_code error;
  if (!std::filesystem::is_directory(sweep.work_dir.parent_path(), error)) {
    fail_creating(sweep.work_dir, error ? error.value() : ENOENT);
  }
  for (const config::RunConfig& measurement : sweep.measurements) {
    checkpoint::create_folders_durably(measurement.work.dir.parent_path());
  }
  checkpoint::create_folders_durably(sweep.points.front().job.work.dir.parent_path());
}

}  // namespace shardquant::commands
