#pragma once

// GPTQ (arXiv:2210.17323) on affine grids in double precision, straight from the formulas, and the
// costs that a search for their scales compares.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "tests/oracle/naive_gptq.hpp"

namespace shardquant::oracle {

/// One column's affine grid.
struct AffinePoint {
  double scale = 0.0;
  double offset = 0.0;
  int low = 0;
  int high = 0;
  kernels::AffineForm form = kernels::AffineForm::zero;
  kernels::ElementType value_type = kernels::ElementType::f32;
};

/// The grid of permuted row k, column n.
inline AffinePoint affine_point(const kernels::AffineScales& scales, std::int64_t input,
                                std::int64_t n, std::int64_t cols) {
  const std::int64_t at = input / scales.group_size * cols + n;
  return {scales.scales[at], scales.offsets.empty() ? 0.0 : scales.offsets[at],
          scales.low,        scales.high,
          scales.form,       scales.value_type};
}

/// Rounded to the nearest number of the type.
inline double round_to_type(kernels::ElementType type, double x) {
  const auto value = static_cast<float>(x);
  if (type == kernels::ElementType::f16) return kernels::round_to_half(value);
  if (type == kernels::ElementType::f32 || value == 0.0f) return value;
  // bf16: eight significant bits, ties to even.
  const double unit = std::ldexp(1.0, std::ilogb(value) - 7);
  return std::nearbyint(value / unit) * unit;
}

/// What code q decodes to: (q - zero) scale, or (scale q) - minimum with both steps in fp32.
inline double affine_value(const AffinePoint& point, double q) {
  if (point.form == kernels::AffineForm::zero) {
    return round_to_type(point.value_type, (q - point.offset) * point.scale);
  }
  const double product = static_cast<float>(point.scale * q);
  return round_to_type(point.value_type, product - point.offset);
}

/// The code in [low, high] whose exact value is nearest to v.
inline double affine_code(const AffinePoint& point, double v) {
  if (point.scale == 0.0) {
    const double q = point.form == kernels::AffineForm::zero ? point.offset : 0.0;
    return std::clamp<double>(q, point.low, point.high);
  }
  const double steps = point.form == kernels::AffineForm::zero ? v / point.scale + point.offset
                                                               : (v + point.offset) / point.scale;
  return std::clamp<double>(std::nearbyint(steps), point.low, point.high);
}

/// The published form: U from Cholesky, inverse, Cholesky; errors propagate to all later rows.
/// w: [K, N] permuted; perm: input of each row
inline Result naive_affine_gptq(Dense w, const Dense& damped_hessian,
                                const kernels::AffineScales& scales,
                                const std::vector<std::int32_t>& perm) {
  const Dense l = cholesky(inverse_from_cholesky(cholesky(damped_hessian)));
  Result result = empty_result(w);
  for (std::int64_t r = 0; r < w.rows; ++r) {
    for (std::int64_t n = 0; n < w.cols; ++n) {
      const AffinePoint point = affine_point(scales, perm[r], n, w.cols);
      const double q = affine_code(point, w.at(r, n));
      const double value = affine_value(point, q);
      result.codes[r * w.cols + n] = static_cast<std::uint8_t>(q - point.low);
      result.dequantized.at(r, n) = value;
      const double error = (w.at(r, n) - value) / l.at(r, r);
      result.damped_loss += error * error;
      for (std::int64_t j = r; j < w.rows; ++j) w.at(j, n) -= l.at(j, r) * error;
    }
  }
  return result;
}

/// Cost of one column of a group on a grid, by the objective's definition. w: [K, N] permuted;
/// rows: of the group, in the sweep's order; factor: R of the damped H = R R^T
inline double affine_cost(const Dense& w, const Dense& damped_hessian, const Dense& factor,
                          const std::vector<std::int32_t>& rows, std::int64_t n,
                          const AffinePoint& point, kernels::ScaleObjective objective) {
  double cost = 0.0;
  std::vector<double> differences(rows.size());
  for (std::size_t c = 0; c < rows.size(); ++c) {
    double v = w.at(rows[c], n);
    if (objective == kernels::ScaleObjective::simulated) {
      const std::size_t run = c / kernels::kMostSimulatedRows * kernels::kMostSimulatedRows;
      for (std::size_t r = run; r < c; ++r) {
        v += factor.at(rows[r], rows[c]) / factor.at(rows[c], rows[c]) * differences[r];
      }
    }
    const double value = affine_value(point, affine_code(point, v));
    const double miss = std::abs(v - value);
    differences[c] = w.at(rows[c], n) - value;
    switch (objective) {
      case kernels::ScaleObjective::power_3_5:
        cost += miss * miss * miss * std::sqrt(miss);
        break;
      case kernels::ScaleObjective::squared:
        cost += miss * miss;
        break;
      case kernels::ScaleObjective::weighted:
        cost += damped_hessian.at(rows[c], rows[c]) * miss * miss;
        break;
      case kernels::ScaleObjective::simulated:
        cost += miss * miss * factor.at(rows[c], rows[c]) * factor.at(rows[c], rows[c]);
        break;
    }
  }
  return cost;
}

/// The least cost of all grids that a search tries: multiples 1 and 0.5 (1.3 / 0.5)^(i / 23) of the
/// scale that spans the weights, rounded to the value type, each with zero 0, or with the integer
/// that centres the grid and its neighbours.
inline double least_affine_cost(const Dense& w, const Dense& damped_hessian, const Dense& factor,
                                const std::vector<std::int32_t>& rows, std::int64_t n,
                                const kernels::AffineRecipe& recipe,
                                kernels::ScaleObjective objective) {
  double bottom = 0.0;
  double top = 0.0;
  for (const std::int32_t row : rows) {
    bottom = std::min(bottom, w.at(row, n));
    top = std::max(top, w.at(row, n));
  }
  const int half = 1 << (recipe.bits - 1);
  AffinePoint point{0.0, 0.0, -half, half - 1, kernels::AffineForm::zero, recipe.value_type};
  const double span = recipe.symmetric ? 2.0 * std::max(top, -bottom) : top - bottom;
  double least = 1e300;
  for (int i = -1; i < 24; ++i) {
    const double ratio = i < 0 ? 1.0 : 0.5 * std::pow(1.3 / 0.5, i / 23.0);
    point.scale = round_to_type(recipe.value_type, span * ratio / (2 * half - 1));
    const double centre = point.scale > 0.0 ? -0.5 - (top + bottom) / 2.0 / point.scale : -0.5;
    const double nearest = std::nearbyint(std::clamp<double>(centre, -half, half - 1));
    for (int shift = recipe.symmetric ? 0 : -1; shift <= (recipe.symmetric ? 0 : 1); ++shift) {
      point.offset = recipe.symmetric ? 0.0 : std::clamp<double>(nearest + shift, -half, half - 1);
      least = std::min(least, affine_cost(w, damped_hessian, factor, rows, n, point, objective));
    }
  }
  return least;
}

}  // namespace shardquant::oracle
