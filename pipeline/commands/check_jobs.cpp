#include "pipeline/commands/check_jobs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/checkpoint/build_identity.hpp"
#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/commands/rank_facts.hpp"
#include "pipeline/commands/start_check.hpp"
#include "pipeline/commands/tie_work_folder.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/forecast/disk_plan.hpp"

namespace shardquant::commands {

namespace {

std::string call_text(const std::string& command, const RunArguments& arguments) {
  std::string text = command + ' ' + arguments.job_file;
  for (const std::string& setting : arguments.overrides) text += " -s " + setting;
  text += fmt::format(" --resume {} --max-time {} --collective-timeout {}", arguments.resume,
                      arguments.max_time, arguments.stall_timeout_s);
  if (arguments.accept_build_change) text += " --accept-build-change";
  if (arguments.start_anyway) text += " --start-anyway";
  return text;
}

// What is still to be written of so many bytes, where a folder holds some of them already.
std::int64_t still_to_write(std::int64_t bytes, const std::filesystem::path& folder) {
  return std::max<std::int64_t>(bytes - forecast::bytes_in(folder), 0);
}

bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

// What several jobs want for one setting; told of with the folder that all of theirs lie in.
class SummedNeed {
 public:
  explicit SummedNeed(const char* setting) : setting_(setting) {}

  void add(const std::filesystem::path& folder, std::int64_t bytes) {
    if (jobs_ == 0) folder_ = folder;
    while (!lies_in(folder, folder_)) folder_ = folder_.parent_path();
    bytes_ += bytes;
    jobs_ += 1;
  }

  void put_into(std::vector<DiskNeed>& needs) const {
    if (jobs_ == 0) return;
    needs.push_back(disk_need(jobs_ == 1 ? setting_ : fmt::format("{} of {} jobs", setting_, jobs_),
                              folder_, bytes_));
  }

 private:
  const char* setting_;
  std::filesystem::path folder_;
  std::int64_t bytes_ = 0;
  int jobs_ = 0;
};

std::vector<DiskNeed> disk_needs(const OpenedJobs& opened) {
  SummedNeed state("work.dir"), output("output.dir");
  for (const Job& job : opened.jobs) {
    const checkpoint::WorkFolder work = work_folder_of(job.config);
    // `auto` keeps Hessians only where there is room for them.
    const bool keeps_hessians = job.config.quantize.hessians == "keep" && !work.borrows_hessians();
    const forecast::DiskPlan plan = forecast::plan_disk(
        opened.model.description, opened.model.layout, job.config, keeps_hessians);
    // With a measurement and Hessians of another job there is no forward pass.
    const bool runs_forward =
        !work.borrows_measurement() || job.config.quantize.hessians == "recompute";
    state.add(
        work.path(),
        still_to_write(plan.hessians, work.hessian("any").parent_path()) +
            (runs_forward ? still_to_write(plan.hidden_states, work.hidden_states()) : 0) +
            (work.borrows_measurement()
                 ? 0
                 : still_to_write(plan.trials, work.copy("any").parent_path().parent_path())));
    if (job.last != LastStage::quantize) continue;
    output.add(job.config.output.dir, still_to_write(plan.output, job.config.output.dir));
  }
  std::vector<DiskNeed> needs;
  state.put_into(needs);
  output.put_into(needs);
  return needs;
}

}  // namespace

void require_same_call(comm::Communicator& comm, const std::string& command,
                       const RunArguments& arguments) {
  require_same_program(comm, checkpoint::build_identity(), call_text(command, arguments));
}

void check_jobs(comm::Communicator& comm, const RunArguments& arguments, const OpenedJobs& opened,
                report::Log& log) {
  RankFacts mine = local_facts();
  mine.device = opened.backend.description();
  mine.device_identity = opened.backend.device_identity();
  mine.threads = opened.jobs.front().config.device.threads;
  mine.memory_needed = opened.memory_needed;
  StartFacts facts;
  facts.ranks = gather_facts(comm, mine);
  comm::on_root(comm, [&] {
    const auto launch =
        comm::LaunchEnvironment::read([](const char* variable) { return std::getenv(variable); });
    facts.launched = launch.ranks;
    facts.disks = disk_needs(opened);
    const StartReport report = judge_start(facts);
    for (const std::string& line : report.lines) log.line("check", line);
    if (!report.complaints.empty()) {
      fail(ExitCode::unavailable, "{}", fmt::join(report.complaints, "; "));
    }
    if (!report.shortages.empty() && !arguments.start_anyway) {
      fail(ExitCode::unavailable, "{}; or start all the same with --start-anyway",
           fmt::join(report.shortages, "; "));
    }
    for (const std::string& shortage : report.shortages) {
      log.line("check", "warning: " + shortage);
    }
  });
}

}  // namespace shardquant::commands
