#pragma once

#include <vector>

#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels {

/// The factors that the scale search of a group tries, in its order:
/// p_j = low (1 - j/steps) + high (j/steps), j = 0..steps, in fp32 as ExLlamaV2 2f72437 has them.
/// @throws std::invalid_argument where settings.shrink_objective is `simulated`
std::vector<float> shrink_factors(const QuantizerSettings& settings);

}  // namespace shardquant::kernels
