#pragma once

#include <algorithm>
#include <cmath>

namespace shardquant::oracle {

/// Nearest binary16 of a double, by definition.
inline double round_to_fp16(double value) {
  if (value == 0.0) return value;
  const int exponent = std::max(std::ilogb(value), -14);
  const double quantum = std::ldexp(1.0, exponent - 10);
  return std::nearbyint(value / quantum) * quantum;
}

/// A weight as the reader of EXL2 rebuilds it, in double with each rounding spelled out. code: of
/// the scale, 0 to 15.
inline double exl2_weight(int q, int bits, int code, double scale_max) {
  const double m = round_to_fp16(scale_max / 256.0);
  const double s = round_to_fp16(static_cast<double>((code + 1) * (code + 1)) * m);
  return round_to_fp16(static_cast<double>(q - (1 << (bits - 1))) * s);
}

}  // namespace shardquant::oracle
