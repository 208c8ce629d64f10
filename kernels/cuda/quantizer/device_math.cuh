#pragma once

#include <cuda_runtime.h>

#include "kernels/api/weight_grid.hpp"

namespace shardquant::kernels::cuda {

/// Math of kernels/api/weight_grid.hpp and scale_objective.hpp for one column on the device.
/// Annotated for both sides, because the templates that call it are plain constexpr.
struct DeviceMath {
  using Number = float;

  static __host__ __device__ float clamp(float x, float low, float high) {
    return fminf(fmaxf(x, low), high);
  }
  static __host__ __device__ float round_even(float x) { return rintf(x); }
  static constexpr float round_to_half(float x) { return kernels::round_to_half(x); }
  static constexpr float round_to(ElementType type, float x) {
    return ScalarMath::round_to(type, x);
  }
  /// Never part of a fused multiply-add.
  static __host__ __device__ float product(float a, float b) {
#ifdef __CUDA_ARCH__
    return __fmul_rn(a, b);
#else
    return a * b;
#endif
  }
  static __host__ __device__ float power_3_5(float x) {
    const float e = fmaxf(fabsf(x), 1e-30f);  // keeps rsqrt finite; e^3.5 is zero
#ifdef __CUDA_ARCH__
    return (e * e) * (e * (e * rsqrtf(e)));
#else
    return (e * e) * (e * (e * (1.0f / sqrtf(e))));
#endif
  }
};

}  // namespace shardquant::kernels::cuda
