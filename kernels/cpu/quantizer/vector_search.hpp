#pragma once

#include <algorithm>

#include "kernels/api/affine_search.hpp"
#include "kernels/cpu/quantizer/vector_sweep.hpp"

// Of the including file's instruction set, hence the internal linkage.
namespace shardquant::kernels {
namespace {

// Rows of column_cost, kernels/api/scale_objective.hpp.

/// Consecutive rows as they are.
struct GivenRows {
  const float* values;  // of the first row and column
  std::int64_t stride;
  int rows;
  const float* weights;

  int count() const { return rows; }
  FloatVec given(int r) const { return load(values + r * stride); }
  void took(int, FloatVec) const {}
  float weight(int r) const { return weights == nullptr ? 1.0f : weights[r]; }
};

/// Rows of a group that lie scattered.
struct ScatteredRows {
  const float* values;  // of row 0 and the first column
  std::int64_t stride;
  const std::int32_t* index;
  int rows;
  const float* weights;

  int count() const { return rows; }
  FloatVec given(int r) const { return load(values + index[r] * stride); }
  void took(int, FloatVec) const {}
  float weight(int r) const { return weights[r]; }
};

/// The same as the sweep inside their group changes them.
struct SimulatedRows {
  ScatteredRows plain;  // at most kMostSimulatedRows
  const float* factor;  // [c * rows + r] = A[r, c]
  FloatVec differences[kMostSimulatedRows];

  int count() const { return plain.rows; }
  FloatVec given(int c) const {
    return add_products(plain.given(c), factor + c * plain.rows, differences, c);
  }
  void took(int c, FloatVec value) { differences[c] = plain.given(c) - value; }
  float weight(int c) const { return plain.weights[c]; }
};

template <ScaleObjective kObjective>
void search_shrink_by(const GroupPanel& panel, const ShrinkSearch& search, double* sums) {
  for (int j = 0; j < search.factors; ++j) sums[j] = 0.0;
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    const IntVec codes = load_codes(search.scale_codes + n);
    const std::int64_t valid = panel.valid_cols - n;
    GivenRows rows{search.given + n, search.stride, panel.rows, search.row_weights};
    for (int j = 0; j < search.factors; ++j) {
      const Exl2Candidate<VectorMath> column{lookup(search.scales + kScaleCodes * j, codes),
                                             lookup(search.inverses + kScaleCodes * j, codes),
                                             search.low, search.high};
      FloatVec sum = column_cost<VectorMath, kObjective>(column, rows);
      if (valid < kLanes) sum = keep_valid(sum, valid);
      sums[j] += sum_lanes(sum);
    }
  }
}

/// The objective of one group and vector of columns, for search_affine_column.
template <ScaleObjective kObjective>
struct AffineCost {
  const AffineSearch& search;
  std::int64_t n;
  int rows;
  SimulatedRows simulated;

  FloatVec operator()(const AffineColumn<VectorMath>& column) {
    ScatteredRows plain{search.weight + n, search.stride, search.rows, rows, search.row_weights};
    if constexpr (kObjective == ScaleObjective::simulated) {
      FloatVec sum{};
      simulated.factor = search.factor;
      for (int first = 0; first < rows; first += kMostSimulatedRows) {
        simulated.plain = plain;
        simulated.plain.index += first;
        simulated.plain.weights += first;
        simulated.plain.rows = std::min(kMostSimulatedRows, rows - first);
        sum += column_cost<VectorMath, kObjective>(column, simulated);
        simulated.factor += simulated.plain.rows * simulated.plain.rows;
      }
      return sum;
    } else {
      return column_cost<VectorMath, kObjective>(column, plain);
    }
  }
};

template <ScaleObjective kObjective>
void search_affine_by(const GroupPanel& panel, const AffineSearch& search, float* scales,
                      float* zeros) {
  const auto ratios = affine_scale_ratios();
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    FloatVec least{};
    FloatVec greatest{};
    for (int r = 0; r < panel.rows; ++r) {
      const FloatVec w = load(search.weight + search.rows[r] * search.stride + n);
      least = vec_min(least, w);
      greatest = vec_max(greatest, w);
    }
    AffineCost<kObjective> cost{search, n, panel.rows, {}};
    const auto best = search_affine_column<VectorMath>(
        least, greatest, *search.recipe, ratios.data(), static_cast<int>(ratios.size()), cost);
    store(scales + n, best.scale);
    store(zeros + n, best.offset);
  }
}

}  // namespace
}  // namespace shardquant::kernels
