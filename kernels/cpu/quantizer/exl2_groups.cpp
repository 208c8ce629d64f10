#include "kernels/cpu/quantizer/exl2_groups.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "kernels/api/hessian_damping.hpp"
#include "kernels/api/shrink_factors.hpp"

namespace shardquant::kernels {

namespace {

float half_range(int bits) {
  return static_cast<float>(1 << (bits - 1));
}

}  // namespace

Exl2Groups::Exl2Groups(ConstMatrixView weight, const HessianFactor& factor,
                       const QuantizerSettings& settings, const GroupKernels& kernels, int threads)
    : cols_(weight.cols),
      stride_(weight.stride),
      settings_(settings),
      kernels_(kernels),
      threads_(threads),
      factors_(shrink_factors(settings)),
      row_weights_(damped_diagonal(factor)),
      given_(std::min<std::int64_t>(kMostGroupRows, weight.rows) * weight.stride),
      maxima_(weight.stride),
      scale_codes_(weight.stride),
      search_scales_(factors_.size() * kScaleCodes),
      search_inverses_(search_scales_.size()),
      panel_sums_(panel_count(weight.cols) * factors_.size()) {}

void Exl2Groups::look(const GroupWork& work) {
  kernels_.solve_group(work.panel, work.input, &given_[work.column], &maxima_[work.column]);
}

void Exl2Groups::fill_search_tables(float smax) {
  for (std::size_t j = 0; j < factors_.size(); ++j) {
    for (int code = 0; code < kScaleCodes; ++code) {
      const float scale = exl2_scale(smax * factors_[j], code, settings_.scale_rounding).quotient;
      search_scales_[j * kScaleCodes + code] = scale;
      search_inverses_[j * kScaleCodes + code] = scale > 0.0f ? 1.0f / scale : 0.0f;
    }
  }
}

// The objective of every factor, panels added in their order.
std::vector<double> Exl2Groups::search(const RowGroup& group) {
  const auto count = static_cast<std::int64_t>(factors_.size());
  const std::int64_t panels = panel_count(cols_);
  const float half = half_range(group.bits);
#pragma omp parallel for num_threads(threads_) schedule(dynamic, 1)
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t column = panel * kPanelCols;
    GroupPanel shape = panel_shape(panel, cols_);
    shape.rows = group.rows;
    kernels_.search_shrink(shape,
                           {&given_[column], stride_, &scale_codes_[column], search_scales_.data(),
                            search_inverses_.data(), static_cast<int>(count), -half, half - 1,
                            settings_.shrink_objective, &row_weights_[group.first_row]},
                           &panel_sums_[panel * count]);
  }
  std::vector<double> sums(factors_.size());
  for (std::int64_t at = 0; at < panels * count; ++at) sums[at % count] += panel_sums_[at];
  return sums;
}

void Exl2Groups::choose(const RowGroup& group) {
  const auto maxima = std::span(maxima_).first(cols_);
  largest_ = *std::max_element(maxima.begin(), maxima.end());
  const float smax = exl2_base_scale(largest_, group.bits);
  for (std::int64_t n = 0; n < stride_; ++n) {
    scale_codes_[n] = n < cols_ ? exl2_scale_code(maxima_[n], smax, group.bits) : 0;
  }
  fill_search_tables(smax);
  const std::vector<double> sums = search(group);
  scale_max_ = smax * factors_[std::min_element(sums.begin(), sums.end()) - sums.begin()];
}

SweepSums Exl2Groups::sweep(const RowGroup& group, std::size_t index, const GroupWork& work,
                            const SweepRecord& record) const {
  std::array<float, kScaleCodes> quotient;
  std::array<float, kScaleCodes> value;
  for (int code = 0; code < kScaleCodes; ++code) {
    const Exl2Scale scale = exl2_scale(scale_max_, code, settings_.scale_rounding);
    quotient[code] = scale.quotient;
    value[code] = scale.value;
  }
  SweepOutput output;
  output.stride = cols_;
  if (record.codes != nullptr) {
    output.codes = record.codes + group.first_row * cols_ + work.column;
    output.values = record.values + group.first_row * cols_ + work.column;
    std::transform(&scale_codes_[work.column], &scale_codes_[work.column] + work.panel.valid_cols,
                   record.scale_codes + static_cast<std::int64_t>(index) * cols_ + work.column,
                   [](std::int32_t code) { return static_cast<std::uint8_t>(code); });
    if (work.index == 0) record.scale_max[index] = to_half(scale_max_).bits;
  }
  const float half = half_range(group.bits);
  SweepSums sums;
  kernels_.sweep_exl2(work.panel, work.input,
                      {&scale_codes_[work.column], quotient.data(), value.data(), -half, half - 1},
                      output, sums);
  return sums;
}

}  // namespace shardquant::kernels
