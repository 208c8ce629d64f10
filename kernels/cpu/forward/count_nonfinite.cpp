#include <bit>

#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

namespace {

bool is_nonfinite(float value) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  return (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent;
}

}  // namespace

std::int64_t count_nonfinite(ConstMatrixView x, std::int64_t& first, int threads) {
  std::int64_t count = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : count)
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const float* row = x.row(t);
    std::int32_t in_row = 0;
    for (std::int64_t i = 0; i < x.cols; ++i) in_row += is_nonfinite(row[i]) ? 1 : 0;
    count += in_row;
  }
  if (count == 0) return 0;
  for (first = 0; !is_nonfinite(x.row(first / x.cols)[first % x.cols]);) ++first;
  return count;
}

}  // namespace shardquant::kernels
