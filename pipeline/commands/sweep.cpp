#include "pipeline/config/sweep.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/commands/check_jobs.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/job_runner.hpp"
#include "pipeline/commands/sweep_summary.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::commands {

namespace {

config::Sweep read_sweep(const SweepArguments& arguments) {
  return config::read_sweep(arguments.run.job_file, arguments.run.overrides);
}

// What is to be run of a sweep, in order.
struct SweepPlan {
  config::Sweep sweep;
  std::vector<Job> jobs;
  std::vector<std::size_t> points;  // of the jobs that quantize, in their order
};

bool is_measured(const config::RunConfig& job) {
  std::error_code error;  // what cannot be looked at is told of when the measuring begins
  return std::filesystem::exists(checkpoint::WorkFolder(job.work.dir).measurement(), error);
}

void add_point(SweepPlan& plan, std::size_t index) {
  plan.jobs.push_back({plan.sweep.points[index].job, LastStage::quantize});
  plan.points.push_back(index);
}

SweepPlan plan_sweep(const SweepArguments& arguments) {
  SweepPlan plan{read_sweep(arguments), {}, {}};
  const auto& points = plan.sweep.points;
  const auto& measurements = plan.sweep.measurements;
  if (arguments.point) {
    const auto index = static_cast<std::size_t>(*arguments.point);
    if (index >= points.size()) {
      fail(ExitCode::usage, "--point {}: the sweep has the points 0 to {}; see `sweep list`",
           *arguments.point, points.size() - 1);
    }
    // A finished measurement is only read, so that points may be run at the same time.
    const config::RunConfig& measurement = measurements[points[index].measurement];
    if (!is_measured(measurement)) plan.jobs.push_back({measurement, LastStage::measure});
    add_point(plan, index);
    return plan;
  }
  for (std::size_t m = 0; m < measurements.size(); ++m) {
    plan.jobs.push_back({measurements[m], LastStage::measure});
    for (std::size_t p = 0; p < points.size(); ++p) {
      if (points[p].measurement == m) add_point(plan, p);
    }
  }
  return plan;
}

std::string call_of(const SweepArguments& arguments) {
  return arguments.point ? fmt::format("sweep run --point {}", *arguments.point) : "sweep run";
}

}  // namespace

void run_sweep(comm::Communicator& comm, const SweepArguments& arguments) {
  require_same_call(comm, call_of(arguments), arguments.run);
  SweepPlan plan;  // on root
  const std::vector<Job> jobs = agree_on_jobs(comm, [&] {
    plan = plan_sweep(arguments);
    return plan.jobs;
  });
  JobRunner runner(comm, arguments.run, jobs);
  comm::on_root(comm, [&] { make_sweep_folders(plan.sweep); });
  std::size_t made = 0;
  for (const Job& job : jobs) {
    if (job.last == LastStage::measure) {
      runner.log().line("sweep", "measure in " + job.config.work.dir.string());
      runner.run(job);
      continue;
    }
    made += 1;
    const std::string name = fmt::format("point {}", job.config.output.dir.filename().string());
    if (comm.is_root()) {
      runner.log().line("sweep", fmt::format("{}: number {}, {} of {}", name, plan.points[made - 1],
                                             made, plan.points.size()));
    }
    try {
      runner.run(job);
    } catch (const comm::SharedFailure& failure) {
      if (failure.what()[0] == '\0') throw;  // another rank tells of it
      throw comm::SharedFailure(failure.code(), name + ": " + failure.what());
    }
    comm::on_root(comm, [&] { write_sweep_summary(plan.sweep); });
  }
  comm::on_root(comm, [&] {
    const auto rows = describe_sweep(plan.sweep);
    for (const std::size_t index : plan.points) {
      put_points_into_report(plan.sweep.points[index], rows);
    }
    runner.log().line("sweep", (plan.sweep.output_dir / "sweep.txt").string());
    std::fputs(report::sweep_text(rows).c_str(), stdout);
  });
}

void list_sweep(const SweepArguments& arguments) {
  const config::Sweep sweep = read_sweep(arguments);
  for (const report::SweepRow& row : describe_sweep(sweep)) {
    fmt::print("{:>4}  {:<8}  {}  {}\n", row.number, row.figures ? "done" : "not done", row.name,
               row.folder);
  }
  fmt::print("{} points, {} measurement(s)\n", sweep.points.size(), sweep.measurements.size());
}

void summarize_sweep(const SweepArguments& arguments) {
  const config::Sweep sweep = read_sweep(arguments);
  const auto rows = write_sweep_summary(sweep);
  for (const report::SweepRow& row : rows) {
    if (row.figures) put_points_into_report(sweep.points[row.number], rows);
  }
  std::fputs(report::sweep_text(rows).c_str(), stdout);
}

}  // namespace shardquant::commands
