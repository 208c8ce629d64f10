#pragma once

#include <cstdint>

#include "pipeline/forecast/job_plan.hpp"

namespace shardquant::forecast {

/// Seconds of computing that work takes on one rank.
double seconds_of(const waves::WorkAmount& work, const config::MachineProfile& profile,
                  std::int64_t threads);

/// The plan: the very functions by which a run deals its work out (plan_waves, assign_work), for
/// `ranks` imagined ranks. Pure.
JobPlan plan_job(const JobPlanInput& input, int ranks);

}  // namespace shardquant::forecast
