#pragma once

#include "pipeline/formats/measurement_file.hpp"
#include "pipeline/formats/plan_file.hpp"
#include "pipeline/stages/output_layout.hpp"
#include "pipeline/stages/run_context.hpp"

namespace shardquant::stages {

/// Which option every linear layer gets, on all ranks.
struct AllocatedModel {
  formats::Plan plan;
  /// By linear layer, head included; null: kept in fp16.
  std::vector<kernels::QuantOption> options;
  std::vector<bool> quantized;
  OutputLayout output;
};

/// Solves the allocation on root, writes plan.json there and makes the result known to all ranks.
/// measurement: on root. Collective. @throws Failure(config) where the budget cannot be met
AllocatedModel allocate_bits(const RunContext& context, const formats::Measurement& measurement);

}  // namespace shardquant::stages
