#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace shardquant::kernels {

/// Reductions in eight accumulators side by side: an order that is fixed, whatever the machine, and
/// that compilers vectorize without leave to reorder.
inline constexpr std::int64_t kReductionLanes = 8;

/// Sum over i of term(x[i]) in double.
template <class Term>
double lane_sum(const float* x, std::int64_t count, Term term) {
  std::array<double, kReductionLanes> lanes{};
  std::int64_t i = 0;
  for (; i + kReductionLanes <= count; i += kReductionLanes) {
    for (std::int64_t lane = 0; lane < kReductionLanes; ++lane) {
      lanes[static_cast<std::size_t>(lane)] += term(static_cast<double>(x[i + lane]));
    }
  }
  double sum = 0.0;
  for (; i < count; ++i) sum += term(static_cast<double>(x[i]));
  for (const double lane : lanes) sum += lane;
  return sum;
}

inline double lane_sum(const float* x, std::int64_t count) {
  return lane_sum(x, count, [](double value) { return value; });
}

/// Greatest element; count at least 1. A NaN may or may not win.
inline float lane_max(const float* x, std::int64_t count) {
  std::array<float, kReductionLanes> lanes;
  lanes.fill(x[0]);
  std::int64_t i = 0;
  for (; i + kReductionLanes <= count; i += kReductionLanes) {
    for (std::int64_t lane = 0; lane < kReductionLanes; ++lane) {
      float& highest = lanes[static_cast<std::size_t>(lane)];
      highest = highest < x[i + lane] ? x[i + lane] : highest;
    }
  }
  for (; i < count; ++i) lanes[0] = std::max(lanes[0], x[i]);
  return *std::max_element(lanes.begin(), lanes.end());
}

}  // namespace shardquant::kernels
