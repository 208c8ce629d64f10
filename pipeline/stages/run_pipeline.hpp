#pragma once

#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// The whole job, stage by stage. measure_only: ends with measurement.json. Collective.
void run_pipeline(const waves::RunContext& context, bool measure_only);

}  // namespace shardquant::stages
