#pragma once

#include <vector>

#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels {

/// The factors that the scale search of a group tries, in its order (design.md section 3, step 5):
/// p_j = low (1 - j/steps) + high (j/steps), j = 0..steps, in fp32 as the reference has them.
std::vector<float> shrink_factors(const QuantizerSettings& settings);

}  // namespace shardquant::kernels
