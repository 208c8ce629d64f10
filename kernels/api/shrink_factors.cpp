#include "kernels/api/shrink_factors.hpp"

namespace shardquant::kernels {

std::vector<float> shrink_factors(const QuantizerSettings& settings) {
  const auto low = static_cast<float>(settings.shrink_low);
  const auto high = static_cast<float>(settings.shrink_high);
  std::vector<float> factors;
  for (int j = 0; j <= settings.shrink_steps; ++j) {
    const float part = static_cast<float>(j) / static_cast<float>(settings.shrink_steps);
    factors.push_back(high * part + low * (1.0f - part));
  }
  return factors;
}

}  // namespace shardquant::kernels
