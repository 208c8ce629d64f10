#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/oracle/naive_gptq.hpp"

namespace shardquant::tests {

/// Inputs [T, K] with correlated channels of very different size, and weights [N, K], as a layer of
/// a trained model has them; reproducible from the seed.
struct RandomLayer {
  oracle::Dense inputs;  ///< [T, K]
  oracle::Dense weight;  ///< [N, K], Hugging Face's order

  RandomLayer(std::int64_t tokens, std::int64_t k, std::int64_t n, std::uint64_t seed)
      : inputs(tokens, k), weight(n, k) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    const std::int64_t rank = std::max<std::int64_t>(k / 8, 1);
    oracle::Dense mixing(rank, k);
    for (double& value : mixing.values) value = normal(random);
    std::vector<double> channel(k);
    for (double& value : channel) value = std::exp(normal(random));
    std::vector<double> hidden(rank);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (double& value : hidden) value = normal(random);
      for (std::int64_t j = 0; j < k; ++j) {
        double sum = 0.0;
        for (std::int64_t r = 0; r < rank; ++r) sum += hidden[r] * mixing.at(r, j);
        const double value = sum / std::sqrt(static_cast<double>(rank)) + 0.5 * normal(random);
        inputs.at(t, j) = static_cast<float>(value * channel[j]);
      }
    }
    for (double& value : weight.values) value = static_cast<float>(0.02 * normal(random));
  }

  std::vector<float> inputs_f32() const { return {inputs.values.begin(), inputs.values.end()}; }
  std::vector<float> weight_f32() const { return {weight.values.begin(), weight.values.end()}; }
};

/// [N, K] weights as [K, N] with rows in the order `perm`.
inline oracle::Dense permuted_rows(const oracle::Dense& weight,
                                   const std::vector<std::int32_t>& perm) {
  oracle::Dense out(weight.cols, weight.rows);
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    for (std::int64_t n = 0; n < weight.rows; ++n) out.at(k, n) = weight.at(n, perm[k]);
  }
  return out;
}

}  // namespace shardquant::tests
