#pragma once

#include "kernels/api/weight_grid.hpp"
#include "kernels/cpu/quantizer/simd_vector.hpp"

// Of the including file's instruction set, hence the internal linkage.
namespace shardquant::kernels {
namespace {

/// Math of kernels/api/weight_grid.hpp and scale_objective.hpp for sixteen columns.
struct VectorMath {
  using Number = FloatVec;

  static FloatVec clamp(FloatVec x, float low, float high) {
    return vec_min(vec_max(x, broadcast(low)), broadcast(high));
  }
  static FloatVec round_even(FloatVec x) {
    const FloatVec shift = broadcast(kRoundingShift);
    return (x + shift) - shift;
  }
  static FloatVec round_to_half(FloatVec x) { return vec_round_to_half(x); }
  static FloatVec round_to(ElementType type, FloatVec x) {
    if (type == ElementType::f16) return vec_round_to_half(x);
    return type == ElementType::bf16 ? vec_round_to_bfloat(x) : x;
  }
  static FloatVec product(FloatVec a, FloatVec b) { return keep_rounded(a * b); }
  static FloatVec power_3_5(FloatVec x) {
    const FloatVec e = abs_at_least(x, broadcast(1e-30f));  // keeps 1/sqrt finite; gives zero
    // e^3.5 = e^3 sqrt(e); sqrt(e) = e y (1.5 - 0.5 e y^2) is one Newton step on y ~ 1/sqrt(e).
    const FloatVec y = rsqrt_estimate(e);
    const FloatVec ey = e * y;
    const FloatVec root = ey * (1.5f - (0.5f * ey) * y);
    return (e * e) * (e * root);
  }
};

}  // namespace
}  // namespace shardquant::kernels
