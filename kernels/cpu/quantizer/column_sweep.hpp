#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cpu/quantizer/group_kernels.hpp"

namespace shardquant::kernels {

/// Receives what a sweep decides, group by group; all null, or none.
struct SweepRecord {
  std::uint8_t* codes = nullptr;        ///< [K, N]
  std::uint16_t* values = nullptr;      ///< [K, N], fp16 bits
  std::uint8_t* scale_codes = nullptr;  ///< [G, N]
  std::uint16_t* scale_max = nullptr;   ///< [G], fp16 bits
};

/// Where the time of a sweep goes: seconds summed over threads, and the operations of its GEMMs.
struct SweepTimes {
  double correct = 0.0;  ///< update GEMMs
  double solve = 0.0;    ///< rows the scale search sees
  double search = 0.0;
  double sweep = 0.0;
  double gemm_operations = 0.0;

  SweepTimes& operator+=(const SweepTimes& other);
};

/// The GPTQ sweep over one weight matrix in the left-looking form (design.md section 3): holds the
/// difference D = W - dequantized of the rows done so far, and can go back to any group boundary
/// and on with another option, because rows before the boundary are never written again.
///
/// Columns are cut into fixed panels that threads take one at a time; sums are added in panel
/// order, so results do not depend on the number of threads.
class ColumnSweep {
 public:
  /// weight: [K, N] permuted, stride a multiple of kColumnVector. References are kept.
  ColumnSweep(ConstMatrixView weight, const HessianFactor& factor,
              const QuantizerSettings& settings, int threads);

  /// Quantizes with `groups`, keeping the beginning it shares with the previous call.
  /// Returns the errors over all rows.
  OptionError run(std::span<const RowGroup> groups, const SweepRecord& record);

  /// Of all runs so far.
  SweepTimes times() const;

  /// D of the last run: [K, N], row k in permuted order.
  ConstMatrixView difference() const {
    return {difference_.data(), weight_.rows, weight_.cols, weight_.stride};
  }

 private:
  std::size_t shared_beginning(std::span<const RowGroup> groups) const;
  void start_block(std::int64_t first, std::int64_t end, std::int64_t panel);
  void prepare_group(const RowGroup& group, std::int64_t block_first, std::int64_t panel);
  void choose_scales(const RowGroup& group);
  void sweep_panel(const RowGroup& group, std::size_t index, std::int64_t block_first,
                   const SweepRecord& record, std::int64_t panel);
  void load_group_factor(const RowGroup& group);
  GroupPanel panel_shape(const RowGroup& group, std::int64_t panel) const;
  std::int64_t panels() const;

  ConstMatrixView weight_;
  const HessianFactor& factor_;
  const QuantizerSettings& settings_;
  const GroupKernels& kernels_;
  int threads_;
  std::vector<float> factors_;  // shrink factors to try

  std::vector<float> difference_;  // [K, stride]
  std::vector<float> corrected_;   // [block rows, stride]: weight + A^T D of all earlier rows
  std::vector<float> given_;       // [group rows, stride]: what the scale search sees
  std::vector<float> maxima_;      // [stride]
  std::vector<std::int32_t> scale_codes_;  // [stride]
  std::vector<float> group_factor_;        // [rows * rows], see GroupKernels
  std::vector<float> search_scales_, search_inverses_;
  std::vector<double> panel_search_sums_;  // [panels, factors]
  std::vector<SweepSums> panel_sweep_sums_;
  std::vector<SweepTimes> panel_times_;
  float scale_max_ = 0.0f;
  double group_maximum_ = 0.0;

  std::vector<RowGroup> done_groups_;
  std::vector<OptionError> done_errors_;  // cumulative, after each done group
};

}  // namespace shardquant::kernels
