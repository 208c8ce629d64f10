#pragma once

#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/output/allocated_model.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// Solves the allocation on root, writes plan.json there and makes the result known to all ranks.
/// measurement: on root. Collective. @throws Failure(config) where the budget cannot be met
output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement);

}  // namespace shardquant::stages
