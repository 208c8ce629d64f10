#include "kernels/api/shrink_factors.hpp"

#include <stdexcept>

namespace shardquant::kernels {

std::vector<float> shrink_factors(const QuantizerSettings& settings) {
  if (settings.shrink_objective == ScaleObjective::simulated) {
    throw std::invalid_argument("an EXL2 group's shrink factor is not sought by simulation");
  }
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
