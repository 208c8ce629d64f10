#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/device_context.hpp"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

/// EXL2's grid in OptionSweep: what its searches need on the device, per state. Contract of the
/// search as in kernels/cpu/quantizer/exl2_groups.hpp.
class Exl2Grid {
 public:
  /// Options that begin alike may share a state: what was decided depends on their groups alone.
  static constexpr bool kSharesBeginnings = true;

  /// weight, factor: of the sweep. @throws DeviceOutOfMemory; std::invalid_argument for the
  /// objective `simulated` or more shrink factors than a search holds
  Exl2Grid(DeviceContext& context, ConstMatrixView weight, const HessianFactor& factor,
           const QuantizerSettings& settings, int states);

  /// Device bytes of one state.
  static std::int64_t state_bytes(ConstMatrixView weight, const QuantizerSettings& settings);

  const Exl2Data& data() const { return data_; }
  void start(DeviceContext& context);
  /// from, to: states.
  void copy_state(DeviceContext& context, int from, int to);
  /// Finds the scales of the tasks' groups.
  void choose(DeviceContext& context, const SweepData& data, const SweepTasks& tasks);
  /// Of each state, so far.
  std::vector<std::int64_t> flushed_groups(DeviceContext& context) const;

 private:
  Exl2Data data_;
  ScaleObjective objective_;
  DeviceBuffer<float> shrink_factors_, row_weights_, given_, maxima_, tile_maxima_, scale_max_;
  DeviceBuffer<double> search_sums_;
  DeviceBuffer<std::int64_t> flushed_;
};

}  // namespace shardquant::kernels::cuda
