#include "pipeline/evaluation/divergence.hpp"

#include <algorithm>
#include <cmath>

namespace shardquant::evaluation {

std::vector<double> probabilities_of(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p(logits.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    p[i] = std::exp(static_cast<double>(logits[i]) - largest);
    sum += p[i];
  }
  for (double& each : p) each /= sum;
  return p;
}

double divergence_of(std::span<const double> p, std::span<const float> plain,
                     std::span<const float> other) {
  constexpr double kLargest = 600.0;  // of what exp takes; beyond it the models share nothing
  double mean = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    mean += p[i] * (static_cast<double>(other[i]) - static_cast<double>(plain[i]));
  }
  double sum = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double d = static_cast<double>(other[i]) - static_cast<double>(plain[i]);
    const double x = std::min(d - mean, kLargest);
    sum += p[i] * (std::exp(x) - 1.0 - x);
  }
  return std::log1p(std::max(sum, 0.0));
}

}  // namespace shardquant::evaluation
