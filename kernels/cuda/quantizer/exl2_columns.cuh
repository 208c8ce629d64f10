#pragma once

#include <cstdint>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantizer/device_math.cuh"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

/// Largest |given| of the group over all tiles, on all threads. scratch: shared, a float per warp.
__device__ inline float group_maximum(const Exl2Data& grid, std::int64_t tiles, int state,
                                      float* scratch) {
  float largest = 0.0f;
  for (std::int64_t i = threadIdx.x; i < tiles; i += blockDim.x) {
    largest = fmaxf(largest, grid.tile_maxima[state * tiles + i]);
  }
  return block_reduce(largest, Greatest{}, scratch);
}

__device__ inline float half_range(int bits) {
  return static_cast<float>(1 << (bits - 1));
}

/// The EXL2 grid of this thread's column, the same for all rows of the group.
class Exl2Columns {
 public:
  using Data = Exl2Data;

  /// Called by all threads of the block. scratch: shared, a float per warp.
  __device__ Exl2Columns(const SweepData& data, const Data& grid, const GroupTask& task,
                         std::int64_t column, float* scratch)
      : smax_(grid.scale_max[task.state]) {
    const float largest = group_maximum(grid, data.tiles(), task.state, scratch);
    code_ = exl2_scale_code(grid.maxima[task.state * data.stride + column],
                            exl2_base_scale(largest, task.bits), task.bits);
    const Exl2Scale scale = exl2_scale(smax_, code_, grid.rounding);
    const float half = half_range(task.bits);
    column_ = {scale.quotient, scale.value, -half, half - 1.0f};
  }

  __device__ const Exl2Column<DeviceMath>& row(std::int64_t) const { return column_; }
  __device__ float low() const { return column_.low; }
  __device__ void record_scale(const SweepData& data, const SweepRecord& record,
                               const GroupTask& task, std::int64_t column) const {
    record.scale_codes[task.index * data.cols + column] = static_cast<std::uint8_t>(code_);
    if (column == 0) record.scale_max[task.index] = to_half(smax_).bits;
  }
  __device__ void store_value(const SweepRecord& record, std::int64_t at, float value) const {
    record.values[at] = to_half(value).bits;
  }

 private:
  float smax_;
  int code_;
  Exl2Column<DeviceMath> column_;
};

}  // namespace shardquant::kernels::cuda
