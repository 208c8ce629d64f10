#pragma once

#include "pipeline/stages/run_context.hpp"

namespace shardquant::stages {

/// The whole job, stage by stage. measure_only: ends with measurement.json. Collective.
void run_pipeline(const RunContext& context, bool measure_only);

}  // namespace shardquant::stages
