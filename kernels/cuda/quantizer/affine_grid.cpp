#include "kernels/cuda/quantizer/affine_grid.hpp"

#include <algorithm>

namespace shardquant::kernels::cuda {

namespace {

// [G, cols] of the host as [G, stride] on the device; nothing as zeros.
DeviceBuffer<float> padded_table(DeviceContext& context, const std::vector<float>& values,
                                 std::int64_t groups, ConstMatrixView weight) {
  std::vector<float> padded(static_cast<std::size_t>(groups * weight.stride));
  for (std::int64_t g = 0; g < groups && !values.empty(); ++g) {
    std::copy_n(values.data() + g * weight.cols, weight.cols, padded.data() + g * weight.stride);
  }
  return context.on_device<float>(padded);
}

}  // namespace

AffineGrid::AffineGrid(DeviceContext& context, ConstMatrixView weight, const HessianFactor& factor,
                       std::span<const AffineScales> scales)
    : perm_(context.on_device<std::int32_t>(factor.perm)) {
  std::vector<AffineState> states;
  for (const AffineScales& of_state : scales) {
    require_affine_scales(of_state, weight.rows, weight.cols);
    const std::int64_t groups = affine_group_count(weight.rows, of_state.group_size);
    tables_.push_back(padded_table(context, of_state.scales, groups, weight));
    tables_.push_back(padded_table(context, of_state.offsets, groups, weight));
    const std::int64_t group_size = std::min(of_state.group_size, weight.rows);
    states.push_back({(tables_.end() - 2)->get(), tables_.back().get(),
                      static_cast<std::int32_t>(group_size), static_cast<float>(of_state.low),
                      static_cast<float>(of_state.high), of_state.form, of_state.value_type});
    flushed_.push_back(of_state.flushed_groups);
  }
  states_ = context.on_device<AffineState>(states);
  data_.perm = perm_.get();
  data_.states = states_.get();
}

std::int64_t AffineGrid::state_bytes(ConstMatrixView weight, const AffineScales& scales) {
  const std::int64_t groups = affine_group_count(weight.rows, scales.group_size);
  return 2 * groups * weight.stride * static_cast<std::int64_t>(sizeof(float)) +
         static_cast<std::int64_t>(sizeof(AffineState));
}

}  // namespace shardquant::kernels::cuda
