#pragma once

#include "kernels/cpu/quantizer/group_kernels.hpp"
#include "kernels/cpu/quantizer/vector_math.hpp"

// Of the including file's instruction set, hence the internal linkage.
namespace shardquant::kernels {
namespace {

static_assert(kLanes == kColumnVector);

inline IntVec load_codes(const std::int32_t* codes) {
  IntVec v;
  std::memcpy(&v, codes, sizeof v);
  return v;
}

/// Lanes at or beyond the panel's valid columns are zeroed.
inline FloatVec keep_valid(FloatVec v, std::int64_t valid) {
  for (int i = 0; i < kLanes; ++i) {
    if (i >= valid) v[i] = 0.0f;
  }
  return v;
}

/// The grid of sixteen columns of an EXL2 group, the same for all its rows.
class Exl2Vector {
 public:
  Exl2Vector(const Exl2Scales& scales, std::int64_t n)
      : column_{lookup(scales.quotient, load_codes(scales.scale_codes + n)),
                lookup(scales.value, load_codes(scales.scale_codes + n)), scales.low, scales.high} {
  }

  const Exl2Column<VectorMath>& row(int) const { return column_; }
  float low() const { return column_.low; }
  static void store_value(const SweepOutput& output, std::int64_t at, float value) {
    output.values[at] = to_half(value).bits;
  }

 private:
  Exl2Column<VectorMath> column_;
};

/// The grids of sixteen columns of an affine matrix, row by row.
class AffineVector {
 public:
  AffineVector(const AffineRowScales& scales, std::int64_t n) : scales_(scales), n_(n) {}

  AffineColumn<VectorMath> row(int c) const {
    const std::int64_t at = scales_.group_of_row[c] * scales_.stride + n_;
    return {load(scales_.scales + at),
            load(scales_.offsets + at),
            scales_.low,
            scales_.high,
            scales_.form,
            scales_.value_type};
  }
  float low() const { return scales_.low; }
  void store_value(const SweepOutput& output, std::int64_t at, float value) const {
    if (scales_.value_type == ElementType::f32) {
      output.float_values[at] = value;
    } else if (scales_.value_type == ElementType::f16) {
      output.values[at] = to_half(value).bits;
    } else {
      output.values[at] = to_bfloat(value).bits;
    }
  }

 private:
  const AffineRowScales& scales_;
  std::int64_t n_;
};

/// start + sum over r < c of column[r] rows[r], in two sums that run side by side.
inline FloatVec add_products(FloatVec start, const float* column, const FloatVec* rows, int c) {
  FloatVec even = start;
  FloatVec odd{};
  int r = 0;
  for (; r + 1 < c; r += 2) {
    even += column[r] * rows[r];
    odd += column[r + 1] * rows[r + 1];
  }
  if (r < c) even += column[r] * rows[r];
  return even + odd;
}

/// One vector of columns, beginning at column n.
template <class Grid>
void sweep_columns(const GroupPanel& panel, std::int64_t n, const SweepInput& input,
                   const Grid& grid, const SweepOutput& output, SweepSums& sums) {
  const std::int64_t valid = panel.valid_cols - n;
  FloatVec differences[kMostGroupRows];
  FloatVec loss{};
  FloatVec error{};
  for (int c = 0; c < panel.rows; ++c) {
    const std::int64_t at = c * input.stride + n;
    const FloatVec v =
        add_products(load(input.corrected + at), input.factor + c * panel.rows, differences, c);
    const auto& column = grid.row(c);
    const FloatVec q = column.code(v);
    const FloatVec value = column.value(q);
    differences[c] = load(input.weight + at) - value;
    store(input.difference + at, differences[c]);
    if (output.codes != nullptr) {
      for (int i = 0; i < kLanes && i < valid; ++i) {
        const std::int64_t to = c * output.stride + n + i;
        output.codes[to] = static_cast<std::uint8_t>(q[i] - grid.low());
        grid.store_value(output, to, value[i]);
      }
    }
    const FloatVec miss = (v - value) * input.pivots[c];
    loss += miss * miss;
    error += differences[c] * differences[c];
  }
  if (valid < kLanes) {
    loss = keep_valid(loss, valid);
    error = keep_valid(error, valid);
  }
  sums.damped_loss += sum_lanes(loss);
  sums.weight_error += sum_lanes(error);
}

template <class Grid, class Scales>
void sweep_group(const GroupPanel& panel, const SweepInput& input, const Scales& scales,
                 const SweepOutput& output, SweepSums& sums) {
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    sweep_columns(panel, n, input, Grid(scales, n), output, sums);
  }
}

}  // namespace
}  // namespace shardquant::kernels
