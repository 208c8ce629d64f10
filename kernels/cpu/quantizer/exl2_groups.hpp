#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cpu/quantizer/column_sweep.hpp"

namespace shardquant::kernels {

/// EXL2's grid in ColumnSweep: one scale smax and sixteen fractions of it per group. Each column's
/// fraction comes from its largest weight; smax from the factor, of shrink_factors, that loses
/// least over all columns under settings.shrink_objective. Source: ExLlamaV2 2f72437,
/// adaptivegptq.py.
class Exl2Groups {
 public:
  /// weight, factor: of the sweep. References are kept.
  /// @throws std::invalid_argument for the objective `simulated`
  Exl2Groups(ConstMatrixView weight, const HessianFactor& factor, const QuantizerSettings& settings,
             const GroupKernels& kernels, int threads);

  void look(const GroupWork& work);
  void choose(const RowGroup& group);
  SweepSums sweep(const RowGroup& group, std::size_t index, const GroupWork& work,
                  const SweepRecord& record) const;
  bool is_lost() const { return largest_ > 0.0f && exl2_scale_is_lost(scale_max_); }

 private:
  void fill_search_tables(float smax);
  std::vector<double> search(const RowGroup& group);

  std::int64_t cols_;
  std::int64_t stride_;
  const QuantizerSettings& settings_;
  const GroupKernels& kernels_;
  int threads_;
  std::vector<float> factors_;             // to try
  std::vector<float> row_weights_;         // [K] diag(H) + damp, see ShrinkSearch
  std::vector<float> given_;               // [group rows, stride]: what the search sees
  std::vector<float> maxima_;              // [stride]
  std::vector<std::int32_t> scale_codes_;  // [stride]
  std::vector<float> search_scales_, search_inverses_;
  std::vector<double> panel_sums_;  // [panels, factors]
  float scale_max_ = 0.0f;
  float largest_ = 0.0f;  // |given| of the group
};

}  // namespace shardquant::kernels
