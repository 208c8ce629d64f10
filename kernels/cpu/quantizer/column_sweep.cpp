#include "kernels/cpu/quantizer/column_sweep.hpp"

#include <cblas.h>

#include <algorithm>
#include <chrono>

#include "kernels/api/half_types.hpp"
#include "kernels/api/shrink_factors.hpp"
#include "kernels/cpu/quantizer/scale_tables.hpp"

namespace shardquant::kernels {

namespace {

// Rows whose correction by all earlier rows is one GEMM. Groups (32, 64 or 128 rows) end on its
// boundaries, and the correction within it costs kBlockRows / K of the whole.
constexpr std::int64_t kBlockRows = 256;

// Columns one thread works on at a time: wide enough for the GEMM, narrow enough to share out.
constexpr std::int64_t kPanelCols = 512;

std::int64_t block_end(std::int64_t row, std::int64_t rows) {
  return std::min(rows, (row / kBlockRows + 1) * kBlockRows);
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

blasint as_blas(std::int64_t value) {
  return static_cast<blasint>(value);
}

// out += factor[first : first + depth, columns]^T * right, the correction of `columns` by `depth`
// rows.
void correct(ConstMatrixView factor, std::int64_t first, std::int64_t depth, std::int64_t column,
             std::int64_t columns, const float* right, float* out, std::int64_t cols,
             std::int64_t stride) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_blas(columns), as_blas(cols),
              as_blas(depth), 1.0f, factor.row(first) + column, as_blas(factor.stride), right,
              as_blas(stride), 1.0f, out, as_blas(stride));
}

}  // namespace

ColumnSweep::ColumnSweep(ConstMatrixView weight, const HessianFactor& factor,
                         const QuantizerSettings& settings, int threads)
    : weight_(weight),
      factor_(factor),
      settings_(settings),
      kernels_(select_group_kernels()),
      threads_(threads),
      factors_(shrink_factors(settings)),
      difference_(weight.rows * weight.stride),
      corrected_(std::min(kBlockRows, weight.rows) * weight.stride),
      given_(std::min<std::int64_t>(128, weight.rows) * weight.stride),
      maxima_(weight.stride),
      scale_codes_(weight.stride),
      panel_search_sums_(panels() * factors_.size()),
      panel_sweep_sums_(panels()),
      panel_times_(panels()) {}

std::int64_t ColumnSweep::panels() const {
  return (weight_.cols + kPanelCols - 1) / kPanelCols;
}

GroupPanel ColumnSweep::panel_shape(const RowGroup& group, std::int64_t panel) const {
  const std::int64_t first = panel * kPanelCols;
  const std::int64_t valid = std::min(kPanelCols, weight_.cols - first);
  return {group.rows, (valid + kColumnVector - 1) / kColumnVector * kColumnVector, valid};
}

std::size_t ColumnSweep::shared_beginning(std::span<const RowGroup> groups) const {
  const std::size_t most = std::min(groups.size(), done_groups_.size());
  std::size_t shared = 0;
  while (shared < most && groups[shared] == done_groups_[shared]) ++shared;
  return shared;
}

void ColumnSweep::load_group_factor(const RowGroup& group) {
  group_factor_.resize(static_cast<std::size_t>(group.rows) * group.rows);
  const ConstMatrixView factor = factor_.unit_factor;
  for (int r = 0; r < group.rows; ++r) {
    const float* row = factor.row(group.first_row + r) + group.first_row;
    for (int c = r + 1; c < group.rows; ++c) group_factor_[c * group.rows + r] = row[c];
  }
}

void ColumnSweep::start_block(std::int64_t first, std::int64_t end, std::int64_t panel) {
  const std::int64_t column = panel * kPanelCols;
  const std::int64_t cols = panel_shape({}, panel).cols;
  for (std::int64_t row = first; row < end; ++row) {
    const float* from = weight_.row(row) + column;
    std::copy(from, from + cols, &corrected_[(row - first) * weight_.stride + column]);
  }
  if (first == 0) return;
  panel_times_[panel].gemm_operations += 2.0 * static_cast<double>((end - first) * first * cols);
  correct(factor_.unit_factor, 0, first, first, end - first, &difference_[column],
          &corrected_[column], cols, weight_.stride);
}

void ColumnSweep::prepare_group(const RowGroup& group, std::int64_t block_first,
                                std::int64_t panel) {
  const std::int64_t column = panel * kPanelCols;
  const GroupPanel shape = panel_shape(group, panel);
  float* corrected = &corrected_[(group.first_row - block_first) * weight_.stride + column];
  if (group.first_row > block_first) {
    panel_times_[panel].gemm_operations +=
        2.0 * static_cast<double>(group.rows * (group.first_row - block_first) * shape.cols);
    correct(factor_.unit_factor, block_first, group.first_row - block_first, group.first_row,
            group.rows, &difference_[block_first * weight_.stride + column], corrected, shape.cols,
            weight_.stride);
  }
  const double begin = seconds();
  kernels_.solve_group(shape, group_factor_.data(), weight_.row(group.first_row) + column,
                       corrected, &given_[column], &maxima_[column], weight_.stride);
  panel_times_[panel].solve += seconds() - begin;
}

void ColumnSweep::choose_scales(const RowGroup& group) {
  const auto maxima = std::span(maxima_).first(weight_.cols);
  const float largest = *std::max_element(maxima.begin(), maxima.end());
  const float smax = base_scale(largest, group.bits);
  group_maximum_ = largest;
  for (std::int64_t n = 0; n < weight_.stride; ++n) {
    scale_codes_[n] = n < weight_.cols ? scale_code(maxima_[n], smax, group.bits) : 0;
  }
  fill_search_tables(smax, factors_, settings_.scale_rounding, search_scales_, search_inverses_);

  const auto count = static_cast<int>(factors_.size());
  const auto half = static_cast<float>(1 << (group.bits - 1));
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
  for (std::int64_t panel = 0; panel < panels(); ++panel) {
    const std::int64_t column = panel * kPanelCols;
    const double begin = seconds();
    kernels_.search_scales(panel_shape(group, panel), &given_[column], weight_.stride,
                           &scale_codes_[column],
                           {search_scales_.data(), search_inverses_.data(), count}, -half, half - 1,
                           &panel_search_sums_[panel * count]);
    panel_times_[panel].search += seconds() - begin;
  }

  std::vector<double> sums(factors_.size());
  for (std::int64_t panel = 0; panel < panels(); ++panel) {
    for (std::size_t j = 0; j < sums.size(); ++j) {
      sums[j] += panel_search_sums_[panel * count + static_cast<std::int64_t>(j)];
    }
  }
  const auto best = std::min_element(sums.begin(), sums.end()) - sums.begin();
  scale_max_ = smax * factors_[best];
}

void ColumnSweep::sweep_panel(const RowGroup& group, std::size_t index, std::int64_t block_first,
                              const SweepRecord& record, std::int64_t panel) {
  const std::int64_t column = panel * kPanelCols;
  const std::int64_t stride = weight_.stride;
  const GroupPanel shape = panel_shape(group, panel);
  const GroupScales scales = group_scales(scale_max_, settings_.scale_rounding);
  const auto half = static_cast<float>(1 << (group.bits - 1));
  SweepOutput output{nullptr, nullptr, weight_.cols};
  if (record.codes != nullptr) {
    output.codes = record.codes + group.first_row * weight_.cols + column;
    output.values = record.values + group.first_row * weight_.cols + column;
    std::uint8_t* codes = record.scale_codes + static_cast<std::int64_t>(index) * weight_.cols;
    for (std::int64_t n = column; n < column + shape.valid_cols; ++n) {
      codes[n] = static_cast<std::uint8_t>(scale_codes_[n]);
    }
  }
  panel_sweep_sums_[panel] = {};
  kernels_.sweep_group(
      shape,
      {group_factor_.data(), factor_.pivots.data() + group.first_row,
       weight_.row(group.first_row) + column,
       &corrected_[(group.first_row - block_first) * stride + column],
       &difference_[group.first_row * stride + column], stride},
      {&scale_codes_[column], scales.quotient.data(), scales.value.data(), -half, half - 1}, output,
      panel_sweep_sums_[panel]);
}

SweepTimes& SweepTimes::operator+=(const SweepTimes& other) {
  correct += other.correct;
  solve += other.solve;
  search += other.search;
  sweep += other.sweep;
  gemm_operations += other.gemm_operations;
  return *this;
}

SweepTimes ColumnSweep::times() const {
  SweepTimes sum;
  for (const SweepTimes& panel : panel_times_) sum += panel;
  return sum;
}

OptionError ColumnSweep::run(std::span<const RowGroup> groups, const SweepRecord& record) {
  const std::size_t shared = shared_beginning(groups);
  done_groups_.resize(shared);
  done_errors_.resize(shared);
  OptionError error = shared == 0 ? OptionError{} : done_errors_.back();

  std::int64_t block_first = 0;
  std::int64_t block_stop = 0;
  for (std::size_t index = shared; index < groups.size(); ++index) {
    const RowGroup& group = groups[index];
    const bool new_block = group.first_row >= block_stop;
    if (new_block) {
      // The block's own beginning, also where a shared beginning ends inside it: so its products
      // are cut as they are without sharing, and the numbers are the same to the bit.
      block_first = group.first_row / kBlockRows * kBlockRows;
      block_stop = block_end(block_first, weight_.rows);
    }
    load_group_factor(group);
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
    for (std::int64_t panel = 0; panel < panels(); ++panel) {
      SweepTimes& times = panel_times_[panel];
      const double begin = seconds();
      const double solved = times.solve;
      if (new_block) start_block(block_first, block_stop, panel);
      prepare_group(group, block_first, panel);
      times.correct += seconds() - begin - (times.solve - solved);
    }
    choose_scales(group);
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
    for (std::int64_t panel = 0; panel < panels(); ++panel) {
      const double begin = seconds();
      sweep_panel(group, index, block_first, record, panel);
      panel_times_[panel].sweep += seconds() - begin;
    }
    for (const SweepSums& sums : panel_sweep_sums_) {
      error.damped_loss += sums.damped_loss;
      error.weight_error += sums.weight_error;
    }
    const bool flushed = group_scales(scale_max_, ScaleRounding::reader).value.back() == 0.0f;
    if (flushed && group_maximum_ > 0.0) ++error.flushed_groups;
    if (record.scale_max != nullptr) record.scale_max[index] = to_half(scale_max_).bits;
    done_groups_.push_back(group);
    done_errors_.push_back(error);
  }
  return error;
}

}  // namespace shardquant::kernels
