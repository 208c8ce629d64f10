#include "kernels/cpu/quantizer/column_sweep.hpp"

#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/quantizer/affine_groups.hpp"
#include "kernels/cpu/quantizer/exl2_groups.hpp"

namespace shardquant::kernels {

namespace {

// Rows whose correction by all earlier rows is one GEMM. Groups (32, 64 or 128 rows) end on its
// boundaries, and the correction within it costs kBlockRows / K of the whole.
constexpr std::int64_t kBlockRows = 256;

std::int64_t block_end(std::int64_t row, std::int64_t rows) {
  return std::min(rows, (row / kBlockRows + 1) * kBlockRows);
}

blasint as_blas(std::int64_t value) {
  return static_cast<blasint>(value);
}

// out += factor^T right. factor: [depth, rows] of A, right: [depth, cols], out: [rows, cols]
void add_product(ConstMatrixView factor, ConstMatrixView right, MatrixView out) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_blas(factor.cols), as_blas(right.cols),
              as_blas(factor.rows), 1.0f, factor.data, as_blas(factor.stride), right.data,
              as_blas(right.stride), 1.0f, out.data, as_blas(out.stride));
}

}  // namespace

template <class Grid>
ColumnSweep<Grid>::ColumnSweep(ConstMatrixView weight, const HessianFactor& factor, Grid& grid,
                               int threads)
    : weight_(weight),
      factor_(factor),
      grid_(grid),
      threads_(threads),
      difference_(weight.rows * weight.stride),
      corrected_(std::min(kBlockRows, weight.rows) * weight.stride),
      panel_sums_(panel_count(weight.cols)) {}

template <class Grid>
GroupWork ColumnSweep<Grid>::work_of(const RowGroup& group, std::int64_t panel) {
  GroupWork work;
  work.panel = panel_shape(panel, weight_.cols);
  work.panel.rows = group.rows;
  work.index = panel;
  work.column = panel * kPanelCols;
  work.input = {group_factor_.data(),
                factor_.pivots.data() + group.first_row,
                weight_.row(group.first_row) + work.column,
                &corrected_[(group.first_row - block_first_) * weight_.stride + work.column],
                &difference_[group.first_row * weight_.stride + work.column],
                weight_.stride};
  return work;
}

template <class Grid>
std::size_t ColumnSweep<Grid>::shared_beginning(std::span<const RowGroup> groups) const {
  const std::size_t most = std::min(groups.size(), done_groups_.size());
  std::size_t shared = 0;
  while (shared < most && groups[shared] == done_groups_[shared]) ++shared;
  return shared;
}

template <class Grid>
void ColumnSweep<Grid>::load_group_factor(const RowGroup& group) {
  group_factor_.resize(static_cast<std::size_t>(group.rows) * group.rows);
  const ConstMatrixView factor = factor_.unit_factor;
  for (int r = 0; r < group.rows; ++r) {
    const float* row = factor.row(group.first_row + r) + group.first_row;
    for (int c = r + 1; c < group.rows; ++c) group_factor_[c * group.rows + r] = row[c];
  }
}

template <class Grid>
void ColumnSweep<Grid>::start_block(std::int64_t first, std::int64_t end, std::int64_t panel) {
  const std::int64_t column = panel * kPanelCols;
  const std::int64_t cols = panel_shape(panel, weight_.cols).cols;
  const std::int64_t stride = weight_.stride;
  for (std::int64_t row = first; row < end; ++row) {
    const float* from = weight_.row(row) + column;
    std::copy(from, from + cols, &corrected_[(row - first) * stride + column]);
  }
  if (first == 0) return;
  const ConstMatrixView factor = factor_.unit_factor;
  add_product({factor.data + first, first, end - first, factor.stride},
              {&difference_[column], first, cols, stride},
              {&corrected_[column], end - first, cols, stride});
}

template <class Grid>
void ColumnSweep<Grid>::correct_group(const RowGroup& group, std::int64_t panel) {
  const std::int64_t depth = group.first_row - block_first_;
  if (depth == 0) return;
  const std::int64_t column = panel * kPanelCols;
  const std::int64_t cols = panel_shape(panel, weight_.cols).cols;
  const std::int64_t stride = weight_.stride;
  const ConstMatrixView factor = factor_.unit_factor;
  add_product({factor.row(block_first_) + group.first_row, depth, group.rows, factor.stride},
              {&difference_[block_first_ * stride + column], depth, cols, stride},
              {&corrected_[depth * stride + column], group.rows, cols, stride});
}

template <class Grid>
OptionError ColumnSweep<Grid>::run(std::span<const RowGroup> groups, const SweepRecord& record) {
  const std::size_t shared = shared_beginning(groups);
  done_groups_.resize(shared);
  done_errors_.resize(shared);
  OptionError error = shared == 0 ? OptionError{} : done_errors_.back();

  const auto panels = static_cast<std::int64_t>(panel_sums_.size());
  std::int64_t block_stop = 0;
  for (std::size_t index = shared; index < groups.size(); ++index) {
    const RowGroup& group = groups[index];
    const bool new_block = group.first_row >= block_stop;
    if (new_block) {
      // The block's own beginning, also where a shared beginning ends inside it: so its products
      // are cut as they are without sharing, and the numbers are the same to the bit.
      block_first_ = group.first_row / kBlockRows * kBlockRows;
      block_stop = block_end(block_first_, weight_.rows);
    }
    load_group_factor(group);
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      if (new_block) start_block(block_first_, block_stop, panel);
      correct_group(group, panel);
      grid_.look(work_of(group, panel));
    }
    grid_.choose(group);
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      panel_sums_[panel] = grid_.sweep(group, index, work_of(group, panel), record);
    }
    for (const SweepSums& sums : panel_sums_) {
      error.damped_loss += sums.damped_loss;
      error.weight_error += sums.weight_error;
    }
    if (grid_.is_lost()) ++error.flushed_groups;
    done_groups_.push_back(group);
    done_errors_.push_back(error);
  }
  return error;
}

template class ColumnSweep<Exl2Groups>;
template class ColumnSweep<AffineGroups>;

}  // namespace shardquant::kernels
