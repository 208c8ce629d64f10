#include "pipeline/waves/relative_error.hpp"

#include <algorithm>
#include <cmath>

namespace shardquant::waves {

namespace {

// A ratio of two sums of squares that rounding may have brought below zero.
double ratio_of(double error, double norm) {
  if (error <= 0.0) return 0.0;
  return norm > 0.0 ? std::min(std::sqrt(error / norm), 1.0) : 1.0;
}

}  // namespace

double pooled_error(const kernels::OptionError& error, const kernels::WeightNorms& norms,
                    double damp) {
  constexpr double kRounding = 1e-6;
  const double norm = norms.output(damp);
  return norm > kRounding * norms.damped ? ratio_of(error.loss(damp), norm) : 0.0;
}

double row_mean_error(const kernels::OptionError& error, const kernels::WeightNorms& norms) {
  double sum = 0.0;
  for (std::size_t r = 0; r < error.row_errors.size(); ++r) {
    sum += ratio_of(error.row_errors[r], norms.row_norms[r]);
  }
  return sum / static_cast<double>(error.row_errors.size());
}

}  // namespace shardquant::waves
