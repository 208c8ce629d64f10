#pragma once

#include "pipeline/forecast/job_plan.hpp"

namespace shardquant::forecast {

/// Fills what a plan says of memory: what a rank needs on host and device, what the machine has for
/// it, and for what does not fit a complaint with the setting that would make it fit. Pure.
void judge_memory(const JobPlanInput& input, JobPlan& plan);

}  // namespace shardquant::forecast
