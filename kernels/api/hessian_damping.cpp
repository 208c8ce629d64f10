#include "kernels/api/hessian_damping.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string>

#include "kernels/api/kernel_error.hpp"

namespace shardquant::kernels {

HessianFactor order_inputs(std::span<const float> diagonal, const QuantizerSettings& settings) {
  HessianFactor factor;
  factor.method = settings.factor_method;
  factor.dead_inputs = std::count(diagonal.begin(), diagonal.end(), 0.0f);
  factor.perm.resize(diagonal.size());
  std::iota(factor.perm.begin(), factor.perm.end(), 0);
  if (settings.sort_inputs) {
    std::stable_sort(factor.perm.begin(), factor.perm.end(), [&](std::int32_t a, std::int32_t b) {
      return diagonal[static_cast<std::size_t>(a)] > diagonal[static_cast<std::size_t>(b)];
    });
  }
  for (const std::int32_t input : factor.perm) {
    factor.diagonal.push_back(diagonal[static_cast<std::size_t>(input)]);
  }
  return factor;
}

std::vector<float> damped_diagonal(const HessianFactor& factor) {
  std::vector<float> damped(factor.diagonal);
  for (float& value : damped) value += static_cast<float>(factor.damp);
  return damped;
}

double damping_step(std::span<const float> diagonal, const QuantizerSettings& settings) {
  const double mean =
      std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(diagonal.size());
  return std::max(settings.damping * mean, settings.damping_floor);
}

void damp_until_factored(double step, const QuantizerSettings& settings, HessianFactor& factor,
                         const std::function<bool(double damp)>& try_damping) {
  const bool wide = settings.factor_method == FactorMethod::fp64;
  const int last = settings.damping_tries;
  for (int attempt = wide ? last : 1; attempt <= last; ++attempt) {
    factor.damp = std::ldexp(step, attempt - 1);
    factor.tries = wide ? last + 1 : attempt;
    if (try_damping(factor.damp)) return;
  }
  throw NotPositiveDefinite("no factor of the Hessian with up to " + std::to_string(factor.damp) +
                            " added to its diagonal, in " + std::to_string(factor.tries) +
                            " attempts");
}

std::vector<double> probe_signs(std::int64_t n) {
  std::vector<double> probe(static_cast<std::size_t>(n));
  std::mt19937_64 random(1);  // its sequence is fixed by the standard
  for (double& value : probe) value = (random() & 1) != 0 ? 1.0 : -1.0;
  return probe;
}

bool products_agree(std::span<const double> want, std::span<const double> got) {
  constexpr double kLargestResidual = 1e-2;
  double miss = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    miss += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return miss <= kLargestResidual * kLargestResidual * norm;  // false for NaN
}

void refuse_nonfinite_hessian(std::int64_t count, std::int64_t first, std::int64_t n) {
  throw NumericalError("Hessian holds " + std::to_string(count) +
                       " values that are NaN or infinite, the first at [" +
                       std::to_string(first / n) + ", " + std::to_string(first % n) + "]");
}

}  // namespace shardquant::kernels
