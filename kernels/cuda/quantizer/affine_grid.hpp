#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/device_context.hpp"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

/// Affine grids in OptionSweep: the scales of every state.
class AffineGrid {
 public:
  static constexpr bool kSharesBeginnings = false;

  /// One state per element of `scales`. weight, factor: of the sweep. @throws DeviceOutOfMemory;
  /// std::invalid_argument where scales do not fit the weight
  AffineGrid(DeviceContext& context, ConstMatrixView weight, const HessianFactor& factor,
             std::span<const AffineScales> scales);

  /// Device bytes of one state.
  static std::int64_t state_bytes(ConstMatrixView weight, const AffineScales& scales);

  const AffineData& data() const { return data_; }
  void start(DeviceContext&) {}
  void copy_state(DeviceContext&, int, int) {}
  void choose(DeviceContext&, const SweepData&, const SweepTasks&) {}
  std::vector<std::int64_t> flushed_groups(DeviceContext&) const { return flushed_; }

 private:
  AffineData data_;
  DeviceBuffer<std::int32_t> perm_;
  std::vector<DeviceBuffer<float>> tables_;
  DeviceBuffer<AffineState> states_;
  std::vector<std::int64_t> flushed_;
};

}  // namespace shardquant::kernels::cuda
