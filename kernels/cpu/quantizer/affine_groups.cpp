#include "kernels/cpu/quantizer/affine_groups.hpp"

#include <algorithm>

namespace shardquant::kernels {

namespace {

// [G, cols] as [G, stride]; nothing as zeros.
std::vector<float> padded(const std::vector<float>& values, std::int64_t groups, std::int64_t cols,
                          std::int64_t stride) {
  std::vector<float> out(groups * stride);
  if (values.empty()) return out;
  for (std::int64_t g = 0; g < groups; ++g) {
    std::copy_n(values.data() + g * cols, cols, out.data() + g * stride);
  }
  return out;
}

}  // namespace

AffineGroups::AffineGroups(ConstMatrixView weight, const HessianFactor& factor,
                           const AffineScales& scales, const GroupKernels& kernels)
    : cols_(weight.cols), kernels_(kernels) {
  require_affine_scales(scales, weight.rows, weight.cols);
  for (const std::int32_t input : factor.perm) {
    group_of_row_.push_back(static_cast<std::int32_t>(input / scales.group_size));
  }
  const std::int64_t groups = affine_group_count(weight.rows, scales.group_size);
  scales_ = padded(scales.scales, groups, weight.cols, weight.stride);
  offsets_ = padded(scales.offsets, groups, weight.cols, weight.stride);
  shape_.stride = weight.stride;
  shape_.low = static_cast<float>(scales.low);
  shape_.high = static_cast<float>(scales.high);
  shape_.form = scales.form;
  shape_.value_type = scales.value_type;
}

SweepSums AffineGroups::sweep(const RowGroup& group, std::size_t, const GroupWork& work,
                              const SweepRecord& record) const {
  AffineRowScales scales = shape_;
  scales.group_of_row = &group_of_row_[group.first_row];
  scales.scales = &scales_[work.column];
  scales.offsets = &offsets_[work.column];
  SweepOutput output;
  output.stride = cols_;
  const std::int64_t at = group.first_row * cols_ + work.column;
  if (record.codes != nullptr) output.codes = record.codes + at;
  if (record.values != nullptr) output.values = record.values + at;
  if (record.float_values != nullptr) output.float_values = record.float_values + at;
  SweepSums sums;
  kernels_.sweep_affine(work.panel, work.input, scales, output, sums);
  return sums;
}

}  // namespace shardquant::kernels
