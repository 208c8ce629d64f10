#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/allocation/budget.hpp"
#include "pipeline/allocation/constraint.hpp"
#include "pipeline/formats/plan_file.hpp"

namespace shardquant::allocation {

/// What the user asks of the allocation.
struct AllocationRequest {
  Budget budget;
  std::string objective = "sum";  ///< one of objective_names()
  double tolerance = 0.0;         ///< relative gap at which the proof may stop
  std::vector<Constraint> constraints;
  LayerWeights weights;  ///< only for the objective `weighted`; numel where empty
};

/// One option per layer, and the proof that goes with it.
struct Allocation {
  std::vector<int> choices;  ///< per layer of the input: index into its options
  formats::Plan plan;  ///< everything but recipes, stored_bits, folder_bytes, measurement_hash
  std::vector<int> first_stage;  ///< exl2-2023 only: the choices of its first stage
};

/// Every objective there is, the default first.
const std::vector<std::string>& objective_names();

/// Solves the allocation. Root only; pure function of its arguments.
/// @throws Failure 78 if budget or constraints cannot be met, naming the smallest and largest
/// reachable value or the constraints at odds; 65 if an err is outside the objective's domain
Allocation allocate(const AllocationInput& input, const AllocationRequest& request);

}  // namespace shardquant::allocation
