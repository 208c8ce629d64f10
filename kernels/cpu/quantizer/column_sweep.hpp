#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cpu/quantizer/group_kernels.hpp"

namespace shardquant::kernels {

/// Receives what a sweep decides, group by group; what is null is not wanted.
struct SweepRecord {
  std::uint8_t* codes = nullptr;        ///< [K, N]
  std::uint16_t* values = nullptr;      ///< [K, N], bits of fp16 or bf16
  float* float_values = nullptr;        ///< [K, N]
  std::uint8_t* scale_codes = nullptr;  ///< [G, N] of EXL2
  std::uint16_t* scale_max = nullptr;   ///< [G] of EXL2, fp16 bits
};

/// One group and one panel of columns on their way through the sweep.
struct GroupWork {
  GroupPanel panel;
  std::int64_t index = 0;   ///< of the panel
  std::int64_t column = 0;  ///< first of the panel
  SweepInput input;         ///< begins at that column
};

/// Columns one thread works on at a time: wide enough for the GEMM, narrow enough to share out.
constexpr std::int64_t kPanelCols = 512;

constexpr std::int64_t panel_count(std::int64_t cols) {
  return (cols + kPanelCols - 1) / kPanelCols;
}

/// Columns of a panel; rows are left to the caller.
constexpr GroupPanel panel_shape(std::int64_t panel, std::int64_t cols) {
  const std::int64_t left = cols - panel * kPanelCols;
  const std::int64_t valid = left < kPanelCols ? left : kPanelCols;
  return {0, (valid + kColumnVector - 1) / kColumnVector * kColumnVector, valid};
}

/// The GPTQ sweep over one weight matrix in its left-looking form, which needs no inverse: with
/// H = R R^T, A = R diag(R)^-1 and D = W - dequantized, row c is quantized from
///   v_c = W_c + sum over r < c of A[r, c] D_r,   and loses   R_cc^2 (v_c - value_c)^2.
/// Holds D of the rows done so far, and can go back to any group boundary and on with another
/// option, because rows before the boundary are never written again.
///
/// Grid: what the weights are rounded to, one of Exl2Groups and AffineGroups. It is told of each
/// group three times: look(work) per panel, side by side, once `corrected` is up to date;
/// choose(group) alone; sweep(group, group index, work, record) per panel, side by side, which
/// returns the panel's sums. is_lost() after that: whether the group's stored scale became zero.
///
/// Columns are cut into fixed panels that threads take one at a time; sums are added in panel
/// order, so results do not depend on the number of threads.
template <class Grid>
class ColumnSweep {
 public:
  /// weight: [K, N] permuted, stride a multiple of kColumnVector. References are kept.
  ColumnSweep(ConstMatrixView weight, const HessianFactor& factor, Grid& grid, int threads);

  /// Quantizes with `groups`, keeping the beginning it shares with the previous call.
  /// Returns the errors over all rows.
  OptionError run(std::span<const RowGroup> groups, const SweepRecord& record);

  /// D of the last run: [K, N], row k in permuted order.
  ConstMatrixView difference() const {
    return {difference_.data(), weight_.rows, weight_.cols, weight_.stride};
  }

 private:
  std::size_t shared_beginning(std::span<const RowGroup> groups) const;
  void start_block(std::int64_t first, std::int64_t end, std::int64_t panel);
  void correct_group(const RowGroup& group, std::int64_t panel);
  void load_group_factor(const RowGroup& group);
  GroupWork work_of(const RowGroup& group, std::int64_t panel);

  ConstMatrixView weight_;
  const HessianFactor& factor_;
  Grid& grid_;
  int threads_;

  std::vector<float> difference_;    // [K, stride]
  std::vector<float> corrected_;     // [block rows, stride]: weight + A^T D of all earlier rows
  std::int64_t block_first_ = 0;     // row that corrected_ begins at
  std::vector<float> group_factor_;  // [rows * rows], see SweepInput
  std::vector<SweepSums> panel_sums_;

  std::vector<RowGroup> done_groups_;
  std::vector<OptionError> done_errors_;  // cumulative, after each done group
};

}  // namespace shardquant::kernels
