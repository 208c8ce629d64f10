#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/job.hpp"
#include "pipeline/commands/print_plan.hpp"
#include "pipeline/config/sweep.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/require_quantizable.hpp"

namespace shardquant::commands {

namespace {

namespace fs = std::filesystem;

// A job for a model that is planned without one: what a first run would take.
constexpr const char* kDefaultJob =
    "version: 1\n"
    "model: {path: .}\n"
    "calibration: {tokens: calibration.i32, rows: 128, length: 2048}\n"
    "output: {dir: out}\n"
    "work: {dir: work}\n";

bool is_job_file(const std::string& target) {
  return target.ends_with(".yaml") || target.ends_with(".yml");
}

config::RunConfig read_job(const PlanArguments& arguments) {
  if (is_job_file(arguments.target)) {
    // Of a sweep the first point, with its measurement.
    if (config::is_sweep(arguments.target)) {
      return config::read_sweep(arguments.target, arguments.overrides).points.front().job;
    }
    return config::read_run_config(arguments.target, arguments.overrides);
  }
  return config::parse_run_config(kDefaultJob, "plan", fs::current_path(), arguments.overrides);
}

// From config.json alone: a folder needs no weights for it.
model::ModelDescription read_description(const PlanArguments& arguments,
                                         const config::RunConfig& job) {
  const bool is_file = !arguments.config_file.empty();
  if (is_file) {
    std::ifstream file(arguments.config_file, std::ios::binary);
    if (!file) fail(ExitCode::no_input, "{}: no such file", arguments.config_file);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return model::parse_model_description(text, arguments.config_file);
  }
  const fs::path folder =
      is_job_file(arguments.target) ? job.model.path : fs::path(arguments.target);
  const bool follows = arguments.follow_symlinks || job.model.links == "follow";
  return model::read_model_description(
      formats::ModelDirectory(folder, formats::link_policy(follows)));
}

void refuse_what_does_not_fit(const std::vector<forecast::JobPlan>& plans) {
  for (const forecast::JobPlan& plan : plans) {
    if (plan.complaints.empty()) return;
  }
  const forecast::JobPlan& last = plans.back();
  fail(ExitCode::config, "the job does not fit: {} rank(s): {}", last.ranks,
       last.complaints.front());
}

}  // namespace

void plan_job(const PlanArguments& arguments) {
  if (arguments.target.empty() == arguments.config_file.empty()) {
    fail(ExitCode::usage, "plan wants a job file, a model folder, or --config config.json");
  }
  const config::RunConfig job = read_job(arguments);
  const config::MachineProfile profile = config::find_machine_profile(arguments.machine);
  const model::ModelDescription description = read_description(arguments, job);
  const model::ModelLayout layout = model::lay_out_model(description);
  const weights::WeightFormat& format = format_of(job);
  model::require_quantizable(description, layout, format);
  const forecast::JobPlanInput input{description,
                                     layout,
                                     job,
                                     profile,
                                     format,
                                     formats::dtype_bytes(description.dtype()),
                                     job.quantize.hessians != "recompute"};
  std::vector<forecast::JobPlan> plans;
  for (const int ranks : arguments.ranks) plans.push_back(forecast::plan_job(input, ranks));

  if (arguments.sbatch) {
    refuse_what_does_not_fit({plans.front()});
    const std::string file = is_job_file(arguments.target) ? arguments.target : "job.yaml";
    std::fputs(plan_sbatch(plans.front(), profile, job.device.threads, file).c_str(), stdout);
    return;
  }
  if (arguments.json) {
    std::fputs(plan_json(input, plans).c_str(), stdout);
  } else {
    std::fputs(plan_heading(input).c_str(), stdout);
    for (const forecast::JobPlan& plan : plans) {
      std::fputs(plan_text(plan, profile).c_str(), stdout);
    }
  }
  std::fflush(stdout);
  refuse_what_does_not_fit(plans);
}

}  // namespace shardquant::commands
