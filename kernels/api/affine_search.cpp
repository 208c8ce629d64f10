#include "kernels/api/affine_search.hpp"

#include <array>
#include <cmath>

namespace shardquant::kernels {

std::span<const float> affine_scale_ratios() {
  static const std::array<float, 25> kRatios = [] {
    std::array<float, 25> ratios{1.0f};
    for (std::size_t i = 1; i < ratios.size(); ++i) {
      const double part = static_cast<double>(i - 1) / 23.0;
      ratios[i] = static_cast<float>(0.5 * std::pow(1.3 / 0.5, part));
    }
    return ratios;
  }();
  return kRatios;
}

}  // namespace shardquant::kernels
