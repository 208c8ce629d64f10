// Compiled once per instruction set: SHARDQUANT_GROUP_KERNELS names the table this build defines.
#include "kernels/cpu/quantizer/group_kernels.hpp"

#include "kernels/cpu/quantizer/simd_vector.hpp"

namespace shardquant::kernels {
namespace {

constexpr int kMaxGroupRows = 128;
static_assert(kLanes == kColumnVector);

IntVec load_codes(const std::int32_t* codes) {
  IntVec v;
  std::memcpy(&v, codes, sizeof v);
  return v;
}

// Lanes at or beyond the panel's valid columns are zeroed.
FloatVec keep_valid(FloatVec v, std::int64_t valid) {
  for (int i = 0; i < kLanes; ++i) {
    if (i >= valid) v[i] = 0.0f;
  }
  return v;
}

void solve_group(const GroupPanel& panel, const float* factor, const float* weight,
                 const float* corrected, float* given, float* maxima, std::int64_t stride) {
  const int rows = panel.rows;
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    FloatVec solved[kMaxGroupRows];
    FloatVec maximum{};
    for (int c = 0; c < rows; ++c) {
      const FloatVec w = load(weight + c * stride + n);
      FloatVec even = w - load(corrected + c * stride + n);
      FloatVec odd{};
      const float* column = factor + c * rows;
      int r = 0;
      for (; r + 1 < c; r += 2) {
        even -= column[r] * solved[r];
        odd -= column[r + 1] * solved[r + 1];
      }
      if (r < c) even -= column[r] * solved[r];
      solved[c] = even + odd;
      const FloatVec g = w - solved[c];
      store(given + c * stride + n, g);
      maximum = vec_max(maximum, vec_abs(g));
    }
    store(maxima + n, maximum);
  }
}

void search_scales(const GroupPanel& panel, const float* given, std::int64_t stride,
                   const std::int32_t* scale_codes, const ScaleTables& tables, float low,
                   float high, double* sums) {
  const FloatVec lowest = broadcast(low + kRoundingShift);
  const FloatVec highest = broadcast(high + kRoundingShift);
  const FloatVec shift = broadcast(kRoundingShift);
  const FloatVec tiny = broadcast(1e-30f);  // keeps 1/sqrt finite; its 3.5th power is zero
  for (int j = 0; j < tables.count; ++j) sums[j] = 0.0;
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    const IntVec codes = load_codes(scale_codes + n);
    const std::int64_t valid = panel.valid_cols - n;
    for (int j = 0; j < tables.count; ++j) {
      const FloatVec scale = lookup(tables.scales + 16 * j, codes);
      const FloatVec inverse = lookup(tables.inverses + 16 * j, codes);
      FloatVec sum{};
      for (int r = 0; r < panel.rows; ++r) {
        const FloatVec w = load(given + r * stride + n);
        const FloatVec q = vec_min(vec_max(w * inverse + shift, lowest), highest) - shift;
        const FloatVec e = abs_at_least(w - q * scale, tiny);
        // e^3.5 = e^3 sqrt(e); sqrt(e) = e y (1.5 - 0.5 e y^2) is one Newton step on y ~ 1/sqrt(e).
        const FloatVec y = rsqrt_estimate(e);
        const FloatVec ey = e * y;
        const FloatVec root = ey * (1.5f - (0.5f * ey) * y);
        sum += (e * e) * (e * root);
      }
      if (valid < kLanes) sum = keep_valid(sum, valid);
      sums[j] += sum_lanes(sum);
    }
  }
}

void store_output(const SweepOutput& output, std::int64_t at, FloatVec q, FloatVec value, float low,
                  std::int64_t valid) {
  if (output.codes == nullptr) return;
  for (int i = 0; i < kLanes && i < valid; ++i) {
    output.codes[at + i] = static_cast<std::uint8_t>(q[i] - low);
    output.values[at + i] = to_half(value[i]).bits;
  }
}

// One vector of columns, beginning at column n.
void sweep_columns(const GroupPanel& panel, std::int64_t n, const SweepInput& input,
                   const SweepScales& scales, const SweepOutput& output, SweepSums& sums) {
  const FloatVec shift = broadcast(kRoundingShift);
  const IntVec code = load_codes(scales.scale_codes + n);
  const FloatVec quotient = lookup(scales.quotient, code);
  const FloatVec value_scale = lookup(scales.value, code);
  const IntVec usable = quotient > 0.0f;
  const FloatVec divisor = usable ? quotient : broadcast(1.0f);
  const std::int64_t valid = panel.valid_cols - n;
  FloatVec differences[kMaxGroupRows];
  FloatVec loss{};
  FloatVec error{};
  for (int c = 0; c < panel.rows; ++c) {
    const std::int64_t at = c * input.stride + n;
    FloatVec even = load(input.corrected + at);
    FloatVec odd{};
    const float* column = input.factor + c * panel.rows;
    int r = 0;
    for (; r + 1 < c; r += 2) {
      even += column[r] * differences[r];
      odd += column[r + 1] * differences[r + 1];
    }
    if (r < c) even += column[r] * differences[r];
    const FloatVec v = even + odd;
    FloatVec q = vec_min(vec_max(v / divisor, broadcast(scales.low)), broadcast(scales.high));
    q = (q + shift) - shift;
    q = usable ? q : FloatVec{};
    const FloatVec value = vec_round_to_half(q * value_scale);
    differences[c] = load(input.weight + at) - value;
    store(input.difference + at, differences[c]);
    store_output(output, c * output.stride + n, q, value, scales.low, valid);
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

void sweep_group(const GroupPanel& panel, const SweepInput& input, const SweepScales& scales,
                 const SweepOutput& output, SweepSums& sums) {
  for (std::int64_t n = 0; n < panel.cols; n += kLanes) {
    sweep_columns(panel, n, input, scales, output, sums);
  }
}

}  // namespace

extern const GroupKernels SHARDQUANT_GROUP_KERNELS = {SHARDQUANT_INSTRUCTION_SET, solve_group,
                                                      search_scales, sweep_group};

}  // namespace shardquant::kernels
