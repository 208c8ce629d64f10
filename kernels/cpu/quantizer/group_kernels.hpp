#pragma once

#include <cstdint>

namespace shardquant::kernels {

/// Columns are handled in vectors of this many; every buffer given to GroupKernels has a stride
/// that is a multiple of it, with columns beyond N readable and writable (their results are not
/// used).
constexpr int kColumnVector = 16;

/// Rows [first, first + rows) of one group and columns of one panel; buffers start at the panel.
struct GroupPanel {
  int rows = 0;
  std::int64_t cols = 0;        ///< multiple of kColumnVector
  std::int64_t valid_cols = 0;  ///< columns that count in sums and maxima, at most cols
};

/// Scale factors to try, as tables by scale code: element [16 * j + code].
struct ScaleTables {
  const float* scales = nullptr;
  const float* inverses = nullptr;  ///< 1 / scale, 0 where the scale is 0
  int count = 0;
};

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

/// How a group is quantized. Tables have sixteen elements, by scale code; a zero scale gives q = 0.
struct SweepScales {
  const std::int32_t* scale_codes = nullptr;  ///< per column
  const float* quotient = nullptr;
  const float* value = nullptr;
  float low = 0.0f;   ///< least q - 2^(bits-1)
  float high = 0.0f;  ///< largest q - 2^(bits-1)
};

/// Where a group's codes [rows, stride] and dequantized fp16 bits [rows, stride] go; may be null.
struct SweepOutput {
  std::uint8_t* codes = nullptr;
  std::uint16_t* values = nullptr;
  std::int64_t stride = 0;
};

/// The inner loops of the quantizer over one row group and one panel of columns, compiled once per
/// instruction set (design.md section 3, step 5, left-looking form).
struct GroupKernels {
  const char* name;

  /// given = weight - T^-T (weight - corrected), T = A[group, group] unit upper: what right-looking
  /// GPTQ would hold in the group's rows. factor: [rows, rows], element [c * rows + r] = A[r, c].
  /// Also maxima[n] = max over rows of |given|.
  void (*solve_group)(const GroupPanel& panel, const float* factor, const float* weight,
                      const float* corrected, float* given, float* maxima, std::int64_t stride);

  /// sums[j] = sum over rows and valid columns of |dequant(w; scale_j) - w|^3.5.
  /// low, high: least and largest value of q - 2^(bits-1).
  void (*search_scales)(const GroupPanel& panel, const float* given, std::int64_t stride,
                        const std::int32_t* scale_codes, const ScaleTables& tables, float low,
                        float high, double* sums);

  /// Quantizes the rows in order: v = corrected[c] + sum_{a<=r<c} A[r, c] difference[r],
  /// q = clamp(round(v / quotient)), difference[c] = weight[c] - fp16(q * value).
  void (*sweep_group)(const GroupPanel& panel, const SweepInput& input, const SweepScales& scales,
                      const SweepOutput& output, SweepSums& sums);
};

/// The fastest set that this machine's processor runs.
const GroupKernels& select_group_kernels();

extern const GroupKernels kGroupKernelsBaseline;
extern const GroupKernels kGroupKernelsAvx2;
extern const GroupKernels kGroupKernelsAvx512;

}  // namespace shardquant::kernels
