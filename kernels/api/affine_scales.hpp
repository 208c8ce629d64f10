#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "kernels/api/weight_grid.hpp"

namespace shardquant::kernels {

/// Uniform steps whose scales a back end finds: q in [-2^(bits-1), 2^(bits-1) - 1],
/// value = (q - zero) scale.
struct AffineRecipe {
  int bits = 0;                 ///< 2 to 8
  std::int64_t group_size = 0;  ///< inputs, in the model's order, that share a scale; 0: all
  bool symmetric = true;        ///< zero = 0
  ElementType value_type = ElementType::bf16;  ///< of the stored scale, and of decoded weights

  constexpr float low() const { return -static_cast<float>(1 << (bits - 1)); }
  constexpr float high() const { return static_cast<float>((1 << (bits - 1)) - 1); }

  friend bool operator==(const AffineRecipe&, const AffineRecipe&) = default;
};

/// Affine scales of a matrix [K, N], settled before the sweep, in host memory. A row belongs to the
/// group of its input in the model's order, perm[k] / group_size, wherever the sweep has it.
struct AffineScales {
  std::int64_t group_size = 0;  ///< inputs of a group, at least 1; G = ceil(K / group_size)
  int low = 0;                  ///< least q
  int high = 0;                 ///< largest q, at most low + 255
  AffineForm form = AffineForm::zero;
  ElementType value_type = ElementType::f32;  ///< decoded weights are rounded to it
  std::vector<float> scales;                  ///< [G, N]
  std::vector<float> offsets;                 ///< [G, N] zeros or minima; empty: all 0
  std::int64_t flushed_groups = 0;  ///< columns of groups, not all zero, whose scale rounded to 0
};

/// Groups of `rows` inputs. group_size 0: one.
std::int64_t affine_group_count(std::int64_t rows, std::int64_t group_size);

/// Of a recipe and a [rows, cols] matrix, with scales yet to be found.
/// @throws std::invalid_argument for bits or a group size that there is not
AffineScales empty_affine_scales(const AffineRecipe& recipe, std::int64_t rows, std::int64_t cols);

/// @throws std::invalid_argument where the scales do not fit a [rows, cols] matrix
void require_affine_scales(const AffineScales& scales, std::int64_t rows, std::int64_t cols);

/// Rows of the sweep sorted by their affine group, in the sweep's order within it.
struct AffineRows {
  std::vector<std::int32_t> rows;   ///< [K]
  std::vector<std::int32_t> first;  ///< [G + 1] where a group begins in `rows`
};
AffineRows rows_by_affine_group(std::span<const std::int32_t> perm, std::int64_t group_size);

}  // namespace shardquant::kernels
