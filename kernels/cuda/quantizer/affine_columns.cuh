#pragma once

#include <cstdint>

#include "kernels/cuda/quantizer/device_math.cuh"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

/// The affine grids of this thread's column, row by row.
class AffineColumns {
 public:
  using Data = AffineData;

  __device__ AffineColumns(const SweepData& data, const Data& grid, const GroupTask& task,
                           std::int64_t column, float*)
      : state_(grid.states[task.state]),
        inputs_(grid.perm + task.first_row),
        column_(column),
        stride_(data.stride) {}

  /// row: of the group.
  __device__ AffineColumn<DeviceMath> row(std::int64_t row) const {
    const std::int64_t at = inputs_[row] / state_.group_size * stride_ + column_;
    return {state_.scales[at], state_.offsets[at], state_.low,
            state_.high,       state_.form,        state_.value_type};
  }
  __device__ float low() const { return state_.low; }
  __device__ void record_scale(const SweepData&, const SweepRecord&, const GroupTask&,
                               std::int64_t) const {}
  __device__ void store_value(const SweepRecord& record, std::int64_t at, float value) const {
    if (state_.value_type == ElementType::f32) {
      record.float_values[at] = value;
    } else if (state_.value_type == ElementType::f16) {
      record.values[at] = to_half(value).bits;
    } else {
      record.values[at] = to_bfloat(value).bits;
    }
  }

 private:
  AffineState state_;
  const std::int32_t* inputs_;
  std::int64_t column_;
  std::int64_t stride_;
};

}  // namespace shardquant::kernels::cuda
