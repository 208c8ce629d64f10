#include <algorithm>
#include <span>
#include <vector>

#include "kernels/cpu/quantizer/column_sweep.hpp"
#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

namespace {

// What a miss in each of a group's rows costs, and for `simulated` the factor restricted to them,
// run after run.
struct SearchGroup {
  std::vector<float> row_weights;
  std::vector<float> factor;
};

std::vector<float> restricted_factor(ConstMatrixView a, std::span<const std::int32_t> rows) {
  std::vector<float> factor;
  while (!rows.empty()) {
    const std::size_t run = std::min<std::size_t>(kMostSimulatedRows, rows.size());
    for (std::size_t c = 0; c < run; ++c) {
      for (std::size_t r = 0; r < run; ++r) {
        factor.push_back(r < c ? a.row(rows[r])[rows[c]] : 0.0f);
      }
    }
    rows = rows.subspan(run);
  }
  return factor;
}

SearchGroup search_group(const HessianFactor& factor, std::span<const std::int32_t> rows,
                         ScaleObjective objective) {
  SearchGroup group;
  for (const std::int32_t row : rows) {
    const float pivot = factor.pivots[row];
    group.row_weights.push_back(objective == ScaleObjective::simulated
                                    ? pivot * pivot
                                    : factor.diagonal[row] + static_cast<float>(factor.damp));
  }
  if (objective == ScaleObjective::simulated) {
    group.factor = restricted_factor(factor.unit_factor, rows);
  }
  return group;
}

bool is_zero(ConstMatrixView weight, std::span<const std::int32_t> rows, std::int64_t column) {
  return std::all_of(rows.begin(), rows.end(),
                     [&](std::int32_t row) { return weight.row(row)[column] == 0.0f; });
}

}  // namespace

AffineScales find_affine_scales(ConstMatrixView weight, const HessianFactor& factor,
                                const AffineRecipe& recipe, const QuantizerSettings& settings,
                                int threads) {
  AffineScales found = empty_affine_scales(recipe, weight.rows, weight.cols);
  const AffineRows sorted = rows_by_affine_group(factor.perm, found.group_size);
  const std::int64_t panels = panel_count(weight.cols);
  const std::int64_t pieces = (std::ssize(sorted.first) - 1) * panels;
  std::int64_t flushed = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(+ : flushed)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t g = piece / panels;
    const std::int64_t column = piece % panels * kPanelCols;
    const auto rows =
        std::span(sorted.rows).subspan(sorted.first[g], sorted.first[g + 1] - sorted.first[g]);
    const SearchGroup group = search_group(factor, rows, settings.affine_objective);
    GroupPanel shape = panel_shape(piece % panels, weight.cols);
    shape.rows = static_cast<int>(rows.size());
    std::vector<float> scales(shape.cols);
    std::vector<float> zeros(shape.cols);
    select_group_kernels().search_affine(
        shape,
        {weight.data + column, rows.data(), weight.stride, &recipe, settings.affine_objective,
         group.row_weights.data(), group.factor.data()},
        scales.data(), zeros.data());
    const std::int64_t at = g * weight.cols + column;
    std::copy_n(scales.data(), shape.valid_cols, found.scales.data() + at);
    if (!recipe.symmetric) std::copy_n(zeros.data(), shape.valid_cols, found.offsets.data() + at);
    for (std::int64_t n = 0; n < shape.valid_cols; ++n) {
      if (scales[n] == 0.0f && !is_zero(weight, rows, column + n)) ++flushed;
    }
  }
  found.flushed_groups = flushed;
  return found;
}

}  // namespace shardquant::kernels
