#pragma once

#include <string>
#include <vector>

#include "pipeline/forecast/plan_job.hpp"

namespace shardquant::commands {

/// What is planned, in a few lines: model, machine, settings.
std::string plan_heading(const forecast::JobPlanInput& input);

/// One plan as a table of its stages, with memory, disk, time, and what does not fit.
std::string plan_text(const forecast::JobPlan& plan, const config::MachineProfile& profile);

/// All plans as one JSON object, with every item and the rank it falls to.
std::string plan_json(const forecast::JobPlanInput& input,
                      const std::vector<forecast::JobPlan>& plans);

/// The header of a Slurm batch script that fits the plan: nodes, tasks, cores, memory, devices,
/// twice the predicted time. threads: of a rank; job: what to call it in a comment.
std::string plan_sbatch(const forecast::JobPlan& plan, const config::MachineProfile& profile,
                        std::int64_t threads, const std::string& job);

}  // namespace shardquant::commands
