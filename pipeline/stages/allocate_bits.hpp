#pragma once

#include <vector>

#include "pipeline/allocation/make_request.hpp"
#include "pipeline/output/allocated_model.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// What the job asks of the allocation, but for the sizes of the output folder and the format's
/// ties. has_sensitivities: of the measurement; without them `sum_squares` stands in for `kl`.
/// @throws Failure: config for a text that is wrong; no_input, bad_data of the weights of layers
allocation::AllocationRequest allocation_request(const config::RunConfig& config,
                                                 bool has_sensitivities);

/// Layers of the blocks that the output's format wants to have one option, by their index.
std::vector<std::vector<int>> format_ties(const waves::Job& job);

/// Solves the allocation on root, or takes the plan that the job brings along, writes plan.json
/// there and makes the result known to all ranks. measurement: on root. Collective. @throws
/// Failure(config) where the budget cannot be met
output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement);

}  // namespace shardquant::stages
