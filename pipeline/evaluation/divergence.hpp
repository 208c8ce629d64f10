#pragma once

#include <span>
#include <vector>

namespace shardquant::evaluation {

/// Softmax of a row of logits, in double.
std::vector<double> probabilities_of(std::span<const float> logits);

/// KL(plain || other) over a vocabulary, natural logarithm, of two rows of logits; p: the
/// probabilities of `plain`. With d = other - plain it is log sum p e^d - sum p d, taken as
/// log1p sum p (e^x - 1 - x), x = d - sum p d: nothing cancels but rounding of d itself, so that a
/// difference far below that of fp32 keeps its digits. Never negative; 0 where the rows are equal.
double divergence_of(std::span<const double> p, std::span<const float> plain,
                     std::span<const float> other);

}  // namespace shardquant::evaluation
