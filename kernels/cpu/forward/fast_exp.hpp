#pragma once

#include <bit>
#include <cstdint>

namespace shardquant::kernels {

/// exp(x) to 2e-7 relative in a form that compilers vectorize, for sums and quotients with terms
/// near
/// 1. Arguments are clamped to [-60, 60]: what is cut off is below the last bit of such terms, and
/// nothing computed from the result becomes subnormal, which would take 100 times as long. NaN
/// stays NaN.
inline float fast_exp(float x) {
  constexpr float kLow = -60.0f;
  constexpr float kHigh = 60.0f;
  constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer
  constexpr float kLn2High = 0.693359375f;       // few enough bits that n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  x = x < kLow ? kLow : x;
  x = x > kHigh ? kHigh : x;
  const float shifted = x * 1.44269504f + kRoundingShift;
  const float n = shifted - kRoundingShift;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor to r^7 / 7!: its remainder is 5e-9 of the result at |r| = ln(2) / 2.
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127u) << 23;
  return p * std::bit_cast<float>(exponent);
}

}  // namespace shardquant::kernels
