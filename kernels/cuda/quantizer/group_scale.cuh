#pragma once

#include <cstdint>

#include "kernels/api/half_types.hpp"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantizer/sweep_types.hpp"

// The formulas of design.md section 3, step 5, in fp32 as the reference computes them.

namespace shardquant::kernels::cuda {

constexpr int kScaleCodes = 16;

/// The scale one code of a group stands for.
struct GroupScale {
  float quotient;  ///< divides the weight
  float value;     ///< multiplies the code: always an fp16 value
};

/// (maximum + 1e-12) / ((2^bits - 1) / 2)
__device__ inline float base_scale(float maximum, int bits) {
  return (maximum + 1e-12f) / (static_cast<float>((1 << bits) - 1) / 2.0f);
}

/// Code 0..15 (c - 1) of a column whose largest |w| is `maximum`:
/// c = clamp(round(sqrt(base / smax) * 16), 1, 16)
__device__ inline int scale_code(float maximum, float smax, int bits) {
  const float root = sqrtf(base_scale(maximum, bits) / smax) * 16.0f;
  return static_cast<int>(fminf(fmaxf(rintf(root), 1.0f), 16.0f)) - 1;
}

/// reader: S = fp16(fp16(c^2) fp16(fp16(smax) / 256)) (exl2-format.md section 6);
/// exl2_2023: (c/16)^2 smax, its fp16 rounding as value.
__device__ inline GroupScale group_scale(float smax, int code, ScaleRounding rounding) {
  const auto c = static_cast<float>(code + 1);
  if (rounding == ScaleRounding::reader) {
    const float unit = round_to_half(round_to_half(smax) * (1.0f / 256.0f));
    const float scale = round_to_half(c * c * unit);
    return {scale, scale};
  }
  const float root = c / 16.0f;
  const float scale = root * root * smax;
  return {scale, round_to_half(scale)};
}

/// Largest |given| of the group over all tiles, on all threads. scratch: shared, a float per warp.
__device__ inline float group_maximum(const SweepData& data, int state, float* scratch) {
  float largest = 0.0f;
  for (std::int64_t i = threadIdx.x; i < data.tiles(); i += blockDim.x) {
    largest = fmaxf(largest, data.tile_maxima[state * data.tiles() + i]);
  }
  return block_reduce(largest, Greatest{}, scratch);
}

}  // namespace shardquant::kernels::cuda
