#include "kernels/cpu/quantizer/scale_tables.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/api/half_types.hpp"

namespace shardquant::kernels {

float base_scale(float maximum, int bits) {
  const auto largest_code = static_cast<float>((1 << bits) - 1);
  return (maximum + 1e-12f) / (largest_code / 2.0f);
}

int scale_code(float maximum, float smax, int bits) {
  const float root = std::sqrt(base_scale(maximum, bits) / smax) * 16.0f;
  return static_cast<int>(std::clamp(std::nearbyint(root), 1.0f, 16.0f)) - 1;
}

GroupScales group_scales(float smax, ScaleRounding rounding) {
  GroupScales scales;
  const float stored_unit = round_to_half(round_to_half(smax) * (1.0f / 256.0f));
  for (int code = 0; code < kScaleCodes; ++code) {
    const auto c = static_cast<float>(code + 1);
    if (rounding == ScaleRounding::reader) {
      scales.quotient[code] = round_to_half(c * c * stored_unit);
      scales.value[code] = scales.quotient[code];
    } else {
      const float root = c / 16.0f;
      scales.quotient[code] = root * root * smax;
      scales.value[code] = round_to_half(scales.quotient[code]);
    }
  }
  return scales;
}

void fill_search_tables(float smax, std::span<const float> factors, ScaleRounding rounding,
                        std::vector<float>& scales, std::vector<float>& inverses) {
  scales.resize(factors.size() * kScaleCodes);
  inverses.resize(scales.size());
  for (std::size_t j = 0; j < factors.size(); ++j) {
    const GroupScales group = group_scales(smax * factors[j], rounding);
    for (std::size_t code = 0; code < kScaleCodes; ++code) {
      const float scale = group.quotient[code];
      scales[j * kScaleCodes + code] = scale;
      inverses[j * kScaleCodes + code] = scale > 0.0f ? 1.0f / scale : 0.0f;
    }
  }
}

}  // namespace shardquant::kernels
