#pragma once

#include "pipeline/allocation/make_request.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/output/allocated_model.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// What the job asks of the allocation, but for the sizes of the output folder.
/// @throws Failure: config for a text that is wrong; no_input, bad_data of the weights of layers
allocation::AllocationRequest allocation_request(const config::RunConfig& config);

/// Solves the allocation on root, or takes the plan that the job brings along, writes plan.json
/// there and makes the result known to all ranks. measurement: on root. Collective. @throws
/// Failure(config) where the budget cannot be met
output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement);

}  // namespace shardquant::stages
