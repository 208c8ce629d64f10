#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cpu/quantizer/column_sweep.hpp"

namespace shardquant::kernels {

/// An affine grid in ColumnSweep: scales and offsets are given, and a row has those of its input's
/// group, so that the sweep's own groups are no more than rows done together.
class AffineGroups {
 public:
  /// weight, factor: of the sweep.
  /// @throws std::invalid_argument where the scales do not fit the weight
  AffineGroups(ConstMatrixView weight, const HessianFactor& factor, const AffineScales& scales,
               const GroupKernels& kernels);

  void look(const GroupWork&) const {}
  void choose(const RowGroup&) const {}
  SweepSums sweep(const RowGroup& group, std::size_t index, const GroupWork& work,
                  const SweepRecord& record) const;
  bool is_lost() const { return false; }

 private:
  std::int64_t cols_;
  const GroupKernels& kernels_;
  std::vector<std::int32_t> group_of_row_;  // [K]
  std::vector<float> scales_, offsets_;     // [G, stride]
  AffineRowScales shape_;
};

}  // namespace shardquant::kernels
