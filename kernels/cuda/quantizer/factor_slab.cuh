#pragma once

#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

constexpr int kSlabElements = kSlabRows * kSlabRows;

/// slab[r][i] = A[row + r][column + i] into shared memory; all threads of the block call it, and
/// may read the slab when it returns.
__device__ inline void load_slab(const SweepData& data, std::int64_t row, std::int64_t column,
                                 float* slab) {
  __syncthreads();  // the former slab is read to its end
  for (int at = static_cast<int>(threadIdx.x); at < kSlabElements; at += kTileColumns) {
    const int r = at / kSlabRows;
    const int i = at % kSlabRows;
    slab[at] = data.factor[(row + r) * data.factor_stride + column + i];
  }
  __syncthreads();
}

/// values[i] += sign * sum_r slab[r][i] right[r * stride]
template <int kSign>
__device__ void add_slab(const float* slab, const float* right, std::int64_t stride,
                         float (&values)[kSlabRows]) {
#pragma unroll 4
  for (int r = 0; r < kSlabRows; ++r) {
    const float d = kSign * right[r * stride];
#pragma unroll
    for (int i = 0; i < kSlabRows; ++i) values[i] += slab[r * kSlabRows + i] * d;
  }
}

/// Shared bytes of a kernel that holds one slab and the former slabs' rows of its columns.
constexpr std::int64_t slab_shared_bytes(int slabs) {
  return static_cast<std::int64_t>(sizeof(float)) *
         (kSlabElements + static_cast<std::int64_t>(slabs - 1) * kSlabRows * kTileColumns);
}

}  // namespace shardquant::kernels::cuda
