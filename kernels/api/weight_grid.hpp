#pragma once

#include <cmath>

#include "kernels/api/half_types.hpp"
#include "kernels/api/matrix.hpp"

/// The grids that weights are rounded to: which code a weight gets and which value a code stands
/// for. `Math` is how the steps are done on a Number, a float or several side by side:
///   clamp(x, low, high), round_even(x) for |x| < 2^22, round_to(type, x) and round_to_half(x) to
///   what a stored number can hold, product(a, b) that is rounded before it is added to anything.
/// All constexpr, so that a device compiles the same lines as the host.
namespace shardquant::kernels {

/// 1.5 * 2^23: adding it leaves |x| < 2^22 as the nearest integer, ties to even.
inline constexpr float kRoundingShift = 12582912.0f;

/// Math of a float on the host.
struct ScalarMath {
  using Number = float;

  static constexpr float clamp(float x, float low, float high) {
    return x < low ? low : (x > high ? high : x);
  }
  static constexpr float round_even(float x) { return (x + kRoundingShift) - kRoundingShift; }
  static constexpr float round_to_half(float x) { return kernels::round_to_half(x); }
  static constexpr float round_to(ElementType type, float x) {
    if (type == ElementType::f16) return kernels::round_to_half(x);
    return type == ElementType::bf16 ? round_to_bfloat(x) : x;
  }
  static constexpr float product(float a, float b) { return a * b; }
};

// EXL2: one scale of a group, smax, and sixteen fractions of it from which columns choose

inline constexpr int kScaleCodes = 16;

/// Which scale the search and the quantization see.
enum class ScaleRounding {
  reader,     ///< the scale an EXL2 reader rebuilds, see exl2_scale
  exl2_2023,  ///< the fp32 scale of ExLlamaV2 2f72437, which the reader does not quite reproduce
};

/// What one scale code of a group stands for.
struct Exl2Scale {
  float quotient = 0.0f;  ///< divides the weight
  float value = 0.0f;     ///< multiplies the code: always an fp16 number
};

/// Scale of a column before its code: (maximum + 1e-12) / ((2^bits - 1) / 2), maximum = its
/// largest |w|.
constexpr float exl2_base_scale(float maximum, int bits) {
  return (maximum + 1e-12f) / (static_cast<float>((1 << bits) - 1) / 2.0f);
}

/// Scale code 0..15 (c - 1) of a column: c = clamp(round(sqrt(base / smax) * 16), 1, 16).
constexpr int exl2_scale_code(float maximum, float smax, int bits) {
  const float root = std::sqrt(exl2_base_scale(maximum, bits) / smax) * 16.0f;
  return static_cast<int>(ScalarMath::clamp(ScalarMath::round_even(root), 1.0f, 16.0f)) - 1;
}

/// The scale of code c - 1 in a group of stored scale smax.
/// reader: S = fp16(fp16(c^2) fp16(fp16(smax) / 256)), as ExLlamaV2's kernels compute it;
/// exl2_2023: (c/16)^2 smax, its fp16 rounding as value.
constexpr Exl2Scale exl2_scale(float smax, int code, ScaleRounding rounding) {
  const auto c = static_cast<float>(code + 1);
  if (rounding == ScaleRounding::reader) {
    const float unit = round_to_half(round_to_half(smax) * (1.0f / 256.0f));
    const float scale = round_to_half(c * c * unit);
    return {scale, scale};
  }
  const float root = c / 16.0f;
  const float scale = root * root * smax;
  return {scale, round_to_half(scale)};
}

/// Whether a group of stored scale smax decodes to zeros, whatever its codes.
constexpr bool exl2_scale_is_lost(float smax) {
  return exl2_scale(smax, kScaleCodes - 1, ScaleRounding::reader).value == 0.0f;
}

/// A column of an EXL2 group: q = clamp(round(v / quotient)), value fp16(q * value). A zero scale
/// gives q = 0.
template <class Math>
struct Exl2Column {
  using Number = typename Math::Number;

  Number quotient;
  Number value_scale;
  float low;   ///< least q, -2^(bits-1)
  float high;  ///< largest q

  constexpr Number code(Number v) const {
    const auto usable = quotient > 0.0f;
    const Number divisor = usable ? quotient : Number{} + 1.0f;
    const Number q = Math::round_even(Math::clamp(v / divisor, low, high));
    return usable ? q : Number{};
  }
  constexpr Number value(Number q) const { return Math::round_to_half(q * value_scale); }
};

/// The same column while the scale is sought, all in fp32 as ExLlamaV2 does it.
template <class Math>
struct Exl2Candidate {
  using Number = typename Math::Number;

  Number scale;
  Number inverse;  ///< 1 / scale, 0 where the scale is 0
  float low;
  float high;

  constexpr Number code(Number w) const {
    return Math::clamp(w * inverse + kRoundingShift, low + kRoundingShift, high + kRoundingShift) -
           kRoundingShift;
  }
  constexpr Number value(Number q) const { return q * scale; }
};

// Affine: a scale and a zero, or a scale and a minimum, per column and group of rows

enum class AffineForm {
  zero,     ///< value = (q - zero) scale
  minimum,  ///< value = (scale q) - minimum
};

/// A column of an affine group. The value is rounded to what a reader decodes weights to.
template <class Math>
struct AffineColumn {
  using Number = typename Math::Number;

  Number scale;   ///< of either sign; 0 makes every code the same value
  Number offset;  ///< zero, an integer, or minimum
  float low;      ///< least q
  float high;     ///< largest q
  AffineForm form;
  ElementType value_type;

  /// The q whose value is nearest to v.
  constexpr Number code(Number v) const {
    const auto usable = scale != 0.0f;
    const Number divisor = usable ? scale : Number{} + 1.0f;
    const Number step = form == AffineForm::zero ? v / divisor + offset : (v + offset) / divisor;
    const Number idle = form == AffineForm::zero ? offset : Number{};
    return Math::round_even(Math::clamp(usable ? step : idle, low, high));
  }
  constexpr Number value(Number q) const {
    if (form == AffineForm::zero) {
      return Math::round_to(value_type, Math::product(q - offset, scale));
    }
    return Math::round_to(value_type, Math::product(scale, q) - offset);
  }
};

}  // namespace shardquant::kernels
