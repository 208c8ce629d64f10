#pragma once

#include <vector>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/allocation/constraint.hpp"

namespace shardquant::allocation {

/// Layers that choose together, and what they can choose.
struct ChoiceGroup {
  std::vector<int> layers;                ///< of the input; several only where they are tied
  std::vector<std::vector<int>> choices;  ///< per choice: one option index per layer
};

/// What the constraints and ties leave to choose, groups in the order of their first layer. Choices
/// keep the order of the first layer's options; tied layers share the options that all of them have
/// by desc.
/// @throws Failure 78 naming a pattern that matches no layer, a pinned option that a layer does not
/// have, or the constraints that together leave a layer without an option
std::vector<ChoiceGroup> choice_groups(const AllocationInput& input,
                                       const std::vector<Constraint>& constraints,
                                       const std::vector<std::vector<int>>& ties = {});

/// Weight of every layer. @throws Failure 78 naming a pattern that matches no layer
std::vector<double> layer_weights(const AllocationInput& input, const LayerWeights& weights);

}  // namespace shardquant::allocation
