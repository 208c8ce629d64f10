#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/allocation/budget.hpp"
#include "pipeline/allocation/constraint.hpp"
#include "pipeline/allocation/folder_size.hpp"
#include "pipeline/allocation/objective_names.hpp"
#include "pipeline/records/plan_file.hpp"

namespace shardquant::allocation {

/// What the user asks of the allocation.
struct AllocationRequest {
  Budget budget;
  std::string objective = "sum";  ///< one of objective_names()
  double tolerance = 0.0;         ///< relative gap at which the proof may stop
  std::vector<Constraint> constraints;
  /// Layers of the input that a weight format wants to have one option, beside the constraints.
  std::vector<std::vector<int>> ties;
  LayerWeights weights;  ///< objective `weighted`: where empty, every layer's share of the weights
  const FolderSize* folder = nullptr;  ///< needed for a budget in bytes of the folder; not owned
};

/// One option per layer, and the proof that goes with it.
struct Allocation {
  std::vector<int> choices;  ///< per layer of the input: index into its options
  records::Plan plan;  ///< everything but recipes, stored_bits, folder_bytes, measurement_hash
  std::vector<int> first_stage;  ///< of the rule of 2023 only: the choices of its first stage
};

/// Solves the allocation and has the result checked against the input. A pure function; the
/// pipeline calls it on the root rank.
/// @throws Failure 78 if budget or constraints cannot be met, naming the smallest and largest
/// reachable value or the constraints at odds; 65 if an err is outside the objective's domain
Allocation allocate(const AllocationInput& input, const AllocationRequest& request);

/// Adds the recipes of the plan's options, from the measurement it was made from.
void add_recipes(const records::Measurement& measurement, records::Plan& plan);

/// Marks the choices in a 2023 measurement as ExLlamaV2 does: best_option, and best_option_max,
/// which is the first stage of the rule of 2023 and the same choice for other objectives.
void mark_choices(const Allocation& allocation, records::Measurement& measurement);

/// The choices as the strategy of a 2024 measurement, whose measured modules are the layers.
void mark_choices(const Allocation& allocation, records::Measurement2024& measurement);

}  // namespace shardquant::allocation
