#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels {

constexpr int kScaleCodes = 16;

/// The scales that the sixteen codes of one group stand for, once its smax is chosen.
struct GroupScales {
  std::array<float, kScaleCodes> quotient;  ///< divides the weight: fp32 scale, or the reader's
  std::array<float, kScaleCodes> value;     ///< multiplies the code: always an fp16 value
};

/// Scale code 0..15 (c - 1) of a column whose largest |w| is `maximum`.
/// c = clamp(round(sqrt(base / smax) * 16), 1, 16), base = (maximum + 1e-12) / ((2^bits - 1) / 2)
int scale_code(float maximum, float smax, int bits);

/// base scale of a column before its code: (maximum + 1e-12) / ((2^bits - 1) / 2).
float base_scale(float maximum, int bits);

/// Scales by code for a stored smax.
/// reader: S = fp16(fp16(c^2) fp16(fp16(smax) / 256)) (exl2-format.md section 6);
/// exl2_2023: (c/16)^2 smax, its fp16 rounding as value.
GroupScales group_scales(float smax, ScaleRounding rounding);

/// group_scales and their inverses for every factor: element [16 j + code].
void fill_search_tables(float smax, std::span<const float> factors, ScaleRounding rounding,
                        std::vector<float>& scales, std::vector<float>& inverses);

}  // namespace shardquant::kernels
