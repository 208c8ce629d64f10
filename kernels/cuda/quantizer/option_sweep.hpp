#pragma once

#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/device_context.hpp"
#include "kernels/cuda/quantizer/sweep_types.hpp"

namespace shardquant::kernels::cuda {

/// The GPTQ sweep over one weight matrix for several options side by side, in the left-looking form
/// of kernels/cpu/quantizer/column_sweep.hpp. A state is the D of one option, or of one beginning
/// that several share: where they part the state is copied. All states go through the rows
/// together, a block of kBlockRows at a time: its correction by all earlier rows is one batched
/// GEMM, within it one launch does the next group of every state. Grid: Exl2Grid or AffineGrid.
template <class Grid>
class OptionSweep {
 public:
  using Cut = std::vector<RowGroup>;

  /// weight: [K, N] of permuted_transpose. grid: for most_states options at a time, at least 1.
  /// References are kept. @throws DeviceOutOfMemory
  OptionSweep(DeviceContext& context, ConstMatrixView weight, const HessianFactor& factor,
              Grid grid, int most_states);

  /// Device bytes that one option needs beside the grid's.
  static std::int64_t state_bytes(ConstMatrixView weight);

  /// Quantizes with every option; at most most_states, no two alike. Where the grid does not share
  /// beginnings, option i is the grid's state i.
  /// @throws std::invalid_argument for groups that the kernels cannot hold
  void run(std::span<const Cut* const> options, const SweepRecord& record);

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

  void start_states();
  void start_block(std::int64_t first, std::int64_t rows);
  void part_states(std::int64_t block_stop, std::int64_t block_rows);
  void copy_state(int from, int to, std::int64_t block_rows);
  void next_groups(std::int64_t block_first, std::int64_t block_stop, const SweepRecord& record);
  void launch_groups(const SweepTasks& tasks, const SweepRecord& record);

  DeviceContext& context_;
  ConstMatrixView weight_;
  const HessianFactor& factor_;
  Grid grid_;
  SweepData data_;
  DeviceBuffer<float> pivots_, difference_, corrected_;
  DeviceBuffer<TileErrors> errors_;

  std::span<const Cut* const> options_;
  std::vector<State> states_;
};

}  // namespace shardquant::kernels::cuda
