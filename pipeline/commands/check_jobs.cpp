#include "pipeline/commands/check_job.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/checkpoint/build_identity.hpp"
#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/commands/rank_facts.hpp"
#include "pipeline/commands/start_check.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/stages/disk_plan.hpp"

namespace shardquant::commands {

namespace {

std::string call_text(const RunArguments& arguments) {
  std::string text = arguments.last == LastStage::measure ? "measure" : "run";
  text += ' ' + arguments.job_file;
  for (const std::string& setting : arguments.overrides) text += " -s " + setting;
  text += fmt::format(" --resume {} --max-time {} --collective-timeout {}", arguments.resume,
                      arguments.max_time, arguments.stall_timeout_s);
  if (arguments.accept_build_change) text += " --accept-build-change";
  if (arguments.start_anyway) text += " --start-anyway";
  return text;
}

// What is still to be written of so many bytes, where a folder holds some of them already.
std::int64_t still_to_write(std::int64_t bytes, const std::filesystem::path& folder) {
  return std::max<std::int64_t>(bytes - stages::bytes_in(folder), 0);
}

std::vector<DiskNeed> disk_needs(const OpenedJob& job, LastStage last) {
  // `auto` keeps Hessians only where there is room for them.
  const bool keeps_hessians = job.config.quantize.hessians == "keep";
  const stages::DiskPlan plan =
      stages::plan_disk(job.model.description, job.model.layout, job.config, keeps_hessians);
  const checkpoint::WorkFolder work(job.config.work.dir);
  const std::int64_t state = still_to_write(plan.hessians, work.hessian("any").parent_path()) +
                             still_to_write(plan.hidden_states, work.hidden_states());
  std::vector<DiskNeed> needs{disk_need("work.dir", work.path(), state)};
  if (last == LastStage::quantize) {
    const std::filesystem::path& output = job.config.output.dir;
    needs.push_back(disk_need("output.dir", output, still_to_write(plan.output, output)));
  }
  return needs;
}

}  // namespace

void require_same_call(comm::Communicator& comm, const RunArguments& arguments) {
  require_same_program(comm, checkpoint::build_identity(), call_text(arguments));
}

void check_job(comm::Communicator& comm, const RunArguments& arguments, const OpenedJob& job,
               report::Log& log) {
  RankFacts mine = local_facts();
  mine.device = job.backend.description();
  mine.device_identity = job.backend.device_identity();
  mine.threads = job.config.device.threads;
  mine.memory_needed = job.memory_needed;
  StartFacts facts;
  facts.ranks = gather_facts(comm, mine);
  comm::on_root(comm, [&] {
    const auto launch =
        comm::LaunchEnvironment::read([](const char* variable) { return std::getenv(variable); });
    facts.launched = launch.ranks;
    facts.disks = disk_needs(job, arguments.last);
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
