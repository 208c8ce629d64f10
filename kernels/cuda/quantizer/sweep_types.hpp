#pragma once

#include <cstdint>

#include "kernels/api/matrix.hpp"
#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels::cuda {

/// Columns that one block of the sweep's kernels works on; every stride is a multiple of it.
constexpr int kTileColumns = 128;
/// Rows held in registers at a time; groups are one to four of these.
constexpr int kSlabRows = 32;
constexpr int kMaxGroupRows = 128;
/// Rows whose correction by all earlier rows is one GEMM.
constexpr std::int64_t kBlockRows = 256;
/// Most shrink factors a search can try.
constexpr int kMaxShrinkFactors = 256;

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
  const float* shrink_factors = nullptr;
  int shrink_count = 0;
  ScaleRounding rounding = ScaleRounding::reader;

  float* difference = nullptr;      ///< [S, K, N] D = weight - dequantized
  float* corrected = nullptr;       ///< [S, kBlockRows, N] weight + A^T D of all earlier rows
  float* given = nullptr;           ///< [S, kMaxGroupRows, N] what the scale search sees
  float* maxima = nullptr;          ///< [S, N] largest |given| of a column
  float* tile_maxima = nullptr;     ///< [S, tiles]
  double* search_sums = nullptr;    ///< [S, tiles, shrink_count]
  float* scale_max = nullptr;       ///< [S] smax of the group, after shrinking
  TileErrors* errors = nullptr;     ///< [S, tiles] of all groups so far
  std::int64_t* flushed = nullptr;  ///< [S] groups whose stored scale underflows to zero

  constexpr std::int64_t tiles() const { return stride / kTileColumns; }
};

/// Where the decisions of one option go; all null when only errors are wanted.
struct SweepRecord {
  std::uint8_t* codes = nullptr;        ///< [K, cols]
  std::uint16_t* values = nullptr;      ///< [K, cols], fp16 bits
  std::uint8_t* scale_codes = nullptr;  ///< [G, cols]
  std::uint16_t* scale_max = nullptr;   ///< [G], fp16 bits
};

}  // namespace shardquant::kernels::cuda
