#pragma once

#include <bit>
#include <cstdint>

namespace shardquant::kernels {

/// IEEE 754 binary16 as stored; all arithmetic happens in float.
struct Half {
  std::uint16_t bits = 0;
};

/// bfloat16 as stored: the upper half of a binary32.
struct BFloat16 {
  std::uint16_t bits = 0;
};

/// Exact value of a stored binary16, subnormals, infinities and NaN included.
constexpr float to_float(Half value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude >= 0x0400u) {
    return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
  }
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
}

constexpr float to_float(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Nearest binary16, ties to even; beyond 65504 (after rounding) the infinity, NaN stays NaN.
constexpr Half to_half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};
  if (magnitude >= 0x38800000u) {
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    return {static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13))};
  }
  // Adding 0.5 makes the float unit round the value to a multiple of 2^-24, ties to even.
  const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
  return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u))};
}

/// Nearest bfloat16, ties to even; beyond its largest number the infinity, NaN stays NaN.
constexpr BFloat16 to_bfloat(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>(bits >> 16 | 0x40u)};
  const std::uint32_t odd = (bits >> 16) & 1u;
  return {static_cast<std::uint16_t>((bits + 0x7fffu + odd) >> 16)};
}

/// `value` rounded to the nearest bfloat16 and back.
constexpr float round_to_bfloat(float value) {
  return to_float(to_bfloat(value));
}

/// `value` rounded to the nearest binary16 and back.
constexpr float round_to_half(float value) {
  return to_float(to_half(value));
}

}  // namespace shardquant::kernels
