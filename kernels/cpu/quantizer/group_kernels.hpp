#pragma once

#include <cstdint>

#include "kernels/api/affine_scales.hpp"
#include "kernels/api/scale_objective.hpp"

namespace shardquant::kernels {

/// Columns are handled in vectors of this many; every buffer given to GroupKernels has a stride
/// that is a multiple of it, with columns beyond N readable and writable (their results are not
/// used).
constexpr int kColumnVector = 16;

/// Rows of one group and columns of one panel; buffers start at the panel.
struct GroupPanel {
  int rows = 0;                 ///< at most kMostGroupRows where the rows are swept
  std::int64_t cols = 0;        ///< multiple of kColumnVector
  std::int64_t valid_cols = 0;  ///< columns that count in sums and maxima, at most cols
};
constexpr int kMostGroupRows = 128;

/// What a group's sweep adds to the layer's sums.
struct SweepSums {
  double damped_loss = 0.0;
  double weight_error = 0.0;
};

/// A group on its way through the sweep; `stride` belongs to weight, corrected and difference.
struct SweepInput {
  const float* factor = nullptr;  ///< [rows, rows], element [c * rows + r] = A[r, c]
  const float* pivots = nullptr;  ///< [rows], R_cc
  const float* weight = nullptr;  ///< [rows, stride]
  const float* corrected =
      nullptr;                  ///< [rows, stride], weight + A^T D of all rows before the group
  float* difference = nullptr;  ///< [rows, stride], receives D = weight - dequantized
  std::int64_t stride = 0;
};

/// Where a group's codes [rows, stride] and dequantized values [rows, stride] go; may be null.
struct SweepOutput {
  std::uint8_t* codes = nullptr;
  std::uint16_t* values = nullptr;  ///< bits of fp16 or bf16
  float* float_values = nullptr;
  std::int64_t stride = 0;
};

/// The grid of an EXL2 group. Tables have sixteen elements, by scale code.
struct Exl2Scales {
  const std::int32_t* scale_codes = nullptr;  ///< per column
  const float* quotient = nullptr;
  const float* value = nullptr;
  float low = 0.0f;
  float high = 0.0f;
};

/// The affine grids of a group's rows.
struct AffineRowScales {
  const std::int32_t* group_of_row = nullptr;  ///< [rows], into scales and offsets
  const float* scales = nullptr;               ///< [G, stride]
  const float* offsets = nullptr;              ///< [G, stride]
  std::int64_t stride = 0;
  float low = 0.0f;
  float high = 0.0f;
  AffineForm form = AffineForm::zero;
  ElementType value_type = ElementType::f32;
};

/// What the search for an EXL2 group's shrink factor sees. Factors as tables by scale code: element
/// [16 * j + code].
struct ShrinkSearch {
  const float* given = nullptr;  ///< [rows, stride]
  std::int64_t stride = 0;
  const std::int32_t* scale_codes = nullptr;  ///< per column
  const float* scales = nullptr;
  const float* inverses = nullptr;  ///< 1 / scale, 0 where the scale is 0
  int factors = 0;
  float low = 0.0f;
  float high = 0.0f;
  ScaleObjective objective = ScaleObjective::power_3_5;
  const float* row_weights = nullptr;  ///< [rows] of `weighted`
};

/// What the search for the affine scales of one group sees.
struct AffineSearch {
  const float* weight = nullptr;       ///< [K, stride]
  const std::int32_t* rows = nullptr;  ///< of the group, in the sweep's order
  std::int64_t stride = 0;
  const AffineRecipe* recipe = nullptr;
  ScaleObjective objective = ScaleObjective::weighted;
  const float* row_weights = nullptr;  ///< per row of the group, see objective_term
  /// For `simulated`, run after run of kMostSimulatedRows rows: element [c * rows of the run + r] =
  /// A[r, c].
  const float* factor = nullptr;
};

/// The inner loops of the quantizer over one row group and one panel of columns, compiled once per
/// instruction set.
struct GroupKernels {
  const char* name;

  /// given = weight - T^-T (weight - corrected), T = A[group, group] unit upper: what right-looking
  /// GPTQ would hold in the group's rows. Also maxima[n] = max over rows of |given|.
  void (*solve_group)(const GroupPanel& panel, const SweepInput& input, float* given,
                      float* maxima);

  /// sums[j] = the objective of shrink factor j over rows and valid columns.
  void (*search_shrink)(const GroupPanel& panel, const ShrinkSearch& search, double* sums);

  /// Scale and zero of each column: [cols].
  void (*search_affine)(const GroupPanel& panel, const AffineSearch& search, float* scales,
                        float* zeros);

  /// Quantizes the rows in order: v = corrected[c] + sum_{a<=r<c} A[r, c] difference[r], code and
  /// value as the grid has them, difference[c] = weight[c] - value.
  void (*sweep_exl2)(const GroupPanel& panel, const SweepInput& input, const Exl2Scales& scales,
                     const SweepOutput& output, SweepSums& sums);
  void (*sweep_affine)(const GroupPanel& panel, const SweepInput& input,
                       const AffineRowScales& scales, const SweepOutput& output, SweepSums& sums);
};

/// The fastest set that this machine's processor runs.
const GroupKernels& select_group_kernels();

extern const GroupKernels kGroupKernelsBaseline;
extern const GroupKernels kGroupKernelsAvx2;
extern const GroupKernels kGroupKernelsAvx512;

}  // namespace shardquant::kernels
