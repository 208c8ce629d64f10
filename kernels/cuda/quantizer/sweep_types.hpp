#pragma once

#include <cstdint>

#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels::cuda {

/// Columns that one block of the sweep's kernels works on; every stride is a multiple of it.
constexpr int kTileColumns = 128;
/// Rows held in registers at a time; groups are one to four of these.
constexpr int kSlabRows = 32;
constexpr int kMaxGroupRows = 128;
/// Rows whose correction by all earlier rows is one GEMM.
constexpr std::int64_t kBlockRows = 256;
/// One group of one state on its way through the sweep.
struct GroupTask {
  std::int32_t state = 0;
  std::int32_t rows = 0;
  std::int64_t first_row = 0;
  std::int64_t block_first = 0;  ///< first row of the block of kBlockRows it lies in
  std::int32_t bits = 0;
  std::int32_t index = 0;  ///< of the group in its option
};

/// What one launch works on; passed by value, so that no copy to the device is needed.
struct SweepTasks {
  static constexpr int kMost = 32;
  int count = 0;
  int rows = 0;  ///< of every task's group
  GroupTask tasks[kMost];
};

/// Errors of a state's rows so far, per tile of columns.
struct TileErrors {
  double damped_loss = 0.0;
  double weight_error = 0.0;
};

/// Device memory of a sweep over one weight matrix [K, cols] in S states; a state is a beginning
/// that one or several options share. N = stride, tiles = N / kTileColumns.
struct SweepData {
  const float* weight = nullptr;  ///< [K, N]
  const float* factor = nullptr;  ///< A: [K, K], see HessianFactor
  std::int64_t factor_stride = 0;
  const float* pivots = nullptr;  ///< [K]
  std::int64_t rows = 0;          ///< K
  std::int64_t cols = 0;          ///< columns that count
  std::int64_t stride = 0;        ///< N

  float* difference = nullptr;   ///< [S, K, N] D = weight - dequantized
  float* corrected = nullptr;    ///< [S, kBlockRows, N] weight + A^T D of all earlier rows
  TileErrors* errors = nullptr;  ///< [S, tiles] of all groups so far

  constexpr std::int64_t tiles() const { return stride / kTileColumns; }
};

/// Where the decisions of one option go; what is null is not wanted.
struct SweepRecord {
  std::uint8_t* codes = nullptr;        ///< [K, cols]
  std::uint16_t* values = nullptr;      ///< [K, cols], bits of fp16 or bf16
  float* float_values = nullptr;        ///< [K, cols]
  std::uint8_t* scale_codes = nullptr;  ///< [G, cols] of EXL2
  std::uint16_t* scale_max = nullptr;   ///< [G] of EXL2, fp16 bits
};

// Grids, as kernels see them. kSeesGroups: whether launch_prepare_group also solves for what a
// search of scales on the way sees.

/// EXL2: the scales of a group are found when the sweep comes to it.
struct Exl2Data {
  static constexpr bool kSeesGroups = true;

  const float* shrink_factors = nullptr;
  int shrink_count = 0;
  ScaleRounding rounding = ScaleRounding::reader;
  const float* row_weights = nullptr;  ///< [K] diag(H) + damp

  float* given = nullptr;           ///< [S, kMaxGroupRows, N] what the scale search sees
  float* maxima = nullptr;          ///< [S, N] largest |given| of a column
  float* tile_maxima = nullptr;     ///< [S, tiles]
  double* search_sums = nullptr;    ///< [S, tiles, shrink_count]
  float* scale_max = nullptr;       ///< [S] smax of the group, after shrinking
  std::int64_t* flushed = nullptr;  ///< [S] groups whose stored scale underflows to zero
};

/// The affine scales of one state.
struct AffineState {
  const float* scales = nullptr;   ///< [G, N]
  const float* offsets = nullptr;  ///< [G, N]
  std::int32_t group_size = 0;
  float low = 0.0f;
  float high = 0.0f;
  AffineForm form = AffineForm::zero;
  ElementType value_type = ElementType::f32;
};

/// Affine: a row has the scales of its input's group.
struct AffineData {
  static constexpr bool kSeesGroups = false;

  const std::int32_t* perm = nullptr;   ///< [K]
  const AffineState* states = nullptr;  ///< [S]
};

/// One search for affine scales, see find_affine_scales. rows, first: see AffineRows.
struct AffineSearchData {
  const float* weight = nullptr;  ///< [K, N]
  std::int64_t cols = 0;
  std::int64_t stride = 0;        ///< N
  const float* factor = nullptr;  ///< A: [K, K]
  std::int64_t factor_stride = 0;
  const float* row_weights = nullptr;   ///< [K], see objective_term
  const std::int32_t* rows = nullptr;   ///< [K]
  const std::int32_t* first = nullptr;  ///< [G + 1]
  std::int64_t groups = 0;              ///< G
  AffineRecipe recipe;
  const float* ratios = nullptr;
  int ratio_count = 0;

  float* scales = nullptr;          ///< [G, cols]
  float* zeros = nullptr;           ///< [G, cols]
  std::int64_t* flushed = nullptr;  ///< [G, tiles] columns, not all zero, whose scale is zero
};

}  // namespace shardquant::kernels::cuda
