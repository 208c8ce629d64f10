#include <optional>

#include "pipeline/commands/check_jobs.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/job_runner.hpp"
#include "pipeline/config/sweep.hpp"

namespace shardquant::commands {

namespace {

// Of a sweep what its points share.
std::vector<Job> measurements_of(const config::Sweep& sweep) {
  std::vector<Job> jobs;
  for (const config::RunConfig& measurement : sweep.measurements) {
    jobs.push_back({measurement, LastStage::measure});
  }
  return jobs;
}

}  // namespace

void run_job(comm::Communicator& comm, const RunArguments& arguments) {
  const bool measures = arguments.last == LastStage::measure;
  require_same_call(comm, measures ? "measure" : "run", arguments);
  std::optional<config::Sweep> sweep;  // on root
  const std::vector<Job> jobs = agree_on_jobs(comm, [&]() -> std::vector<Job> {
    if (measures && config::is_sweep(arguments.job_file)) {
      sweep = config::read_sweep(arguments.job_file, arguments.overrides);
      return measurements_of(*sweep);
    }
    return {{config::read_run_config(arguments.job_file, arguments.overrides), arguments.last}};
  });
  JobRunner runner(comm, arguments, jobs);
  comm::on_root(comm, [&] {
    if (sweep) make_sweep_folders(*sweep);
  });
  for (const Job& job : jobs) runner.run(job);
}

}  // namespace shardquant::commands
