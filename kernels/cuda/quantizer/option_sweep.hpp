#pragma once

#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/device_context.hpp"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

/// The GPTQ sweep over one weight matrix for several options side by side, left-looking (design.md
/// section 3). A state is the D of one beginning that one or several options share; where they part
/// the state is copied. All states go through the rows together, a block of kBlockRows at a time:
/// its correction by all earlier rows is one batched GEMM, within it one launch does the next group
/// of every state.
class OptionSweep {
 public:
  /// weight: [K, N] of permuted_transpose. most_states: options at a time, at least 1.
  /// References are kept. @throws DeviceOutOfMemory
  OptionSweep(DeviceContext& context, ConstMatrixView weight, const HessianFactor& factor,
              const QuantizerSettings& settings, int most_states);

  /// Options at a time whose memory is free, at most `wanted`; 0 where not even one fits.
  static int states_that_fit(DeviceContext& context, ConstMatrixView weight,
                             const QuantizerSettings& settings, int wanted);
  /// Device bytes that one option needs.
  static std::int64_t state_bytes(ConstMatrixView weight, const QuantizerSettings& settings);

  /// Quantizes with every option; at most most_states, no two alike.
  void run(std::span<const std::vector<RowGroup>* const> options, const SweepRecord& record);

  /// Of the options of the last run, in its order.
  std::vector<OptionError> errors() const;
  /// D of the state that option `index` ended in: [K, N] on the device.
  ConstMatrixView difference(std::size_t index) const;

 private:
  struct State {
    std::vector<std::size_t> options;  // indices into the run's options
    std::size_t next_group = 0;
    std::int64_t next_row = 0;
  };

  void start_block(std::int64_t first, std::int64_t rows);
  void part_states(std::int64_t block_stop, std::int64_t block_rows);
  void copy_state(int from, int to, std::int64_t block_rows);
  void next_groups(std::int64_t block_first, std::int64_t block_stop, const SweepRecord& record);
  void launch_groups(const SweepTasks& tasks, int rows, const SweepRecord& record);

  DeviceContext& context_;
  ConstMatrixView weight_;
  const HessianFactor& factor_;
  int most_states_;
  SweepData data_;
  DeviceBuffer<float> shrink_factors_, pivots_, difference_, corrected_, given_, maxima_,
      tile_maxima_, scale_max_;
  DeviceBuffer<double> search_sums_;
  DeviceBuffer<TileErrors> errors_;
  DeviceBuffer<std::int64_t> flushed_;

  std::span<const std::vector<RowGroup>* const> options_;
  std::vector<State> states_;
};

}  // namespace shardquant::kernels::cuda
