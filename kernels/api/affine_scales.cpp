#include "kernels/api/affine_scales.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace shardquant::kernels {

std::int64_t affine_group_count(std::int64_t rows, std::int64_t group_size) {
  return group_size == 0 ? 1 : (rows + group_size - 1) / group_size;
}

void require_affine_scales(const AffineScales& scales, std::int64_t rows, std::int64_t cols) {
  const auto wanted = static_cast<std::size_t>(
      affine_group_count(rows, std::max<std::int64_t>(scales.group_size, 1)) * cols);
  const bool fits = scales.group_size > 0 && scales.scales.size() == wanted &&
                    (scales.offsets.empty() || scales.offsets.size() == wanted) &&
                    scales.low <= scales.high && scales.high - scales.low <= 255;
  if (!fits) {
    throw std::invalid_argument("affine scales of groups of " + std::to_string(scales.group_size) +
                                ", codes " + std::to_string(scales.low) + " to " +
                                std::to_string(scales.high) + ", do not fit a matrix of " +
                                std::to_string(rows) + " x " + std::to_string(cols));
  }
}

AffineScales empty_affine_scales(const AffineRecipe& recipe, std::int64_t rows, std::int64_t cols) {
  if (recipe.bits < 2 || recipe.bits > 8 || recipe.group_size < 0) {
    throw std::invalid_argument("no affine grid of " + std::to_string(recipe.bits) +
                                " bits in groups of " + std::to_string(recipe.group_size));
  }
  AffineScales scales;
  scales.group_size = recipe.group_size == 0 ? rows : recipe.group_size;
  scales.low = static_cast<int>(recipe.low());
  scales.high = static_cast<int>(recipe.high());
  scales.value_type = recipe.value_type;
  const auto count = static_cast<std::size_t>(affine_group_count(rows, recipe.group_size) * cols);
  scales.scales.resize(count);
  if (!recipe.symmetric) scales.offsets.resize(count);
  return scales;
}

AffineRows rows_by_affine_group(std::span<const std::int32_t> perm, std::int64_t group_size) {
  const auto rows = static_cast<std::int64_t>(perm.size());
  const std::int64_t size = group_size == 0 ? rows : group_size;
  AffineRows sorted;
  sorted.first.resize(static_cast<std::size_t>(affine_group_count(rows, group_size)) + 1);
  const auto group_of = [&](std::int32_t input) { return static_cast<std::size_t>(input / size); };
  for (const std::int32_t input : perm) ++sorted.first[group_of(input) + 1];
  for (std::size_t g = 1; g < sorted.first.size(); ++g) sorted.first[g] += sorted.first[g - 1];
  std::vector<std::int32_t> next(sorted.first.begin(), sorted.first.end() - 1);
  sorted.rows.resize(perm.size());
  for (std::size_t k = 0; k < perm.size(); ++k) {
    sorted.rows[static_cast<std::size_t>(next[group_of(perm[k])]++)] = static_cast<std::int32_t>(k);
  }
  return sorted;
}

}  // namespace shardquant::kernels
