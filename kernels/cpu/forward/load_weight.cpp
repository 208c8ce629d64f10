#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "kernels/cpu/allocate_matrix.hpp"
#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

namespace {

constexpr std::int64_t kChunk = 1024;
using Chunk = std::array<std::uint16_t, kChunk>;

// The same values as to_float(Half), without branches so that the loop vectorizes.
void convert_halves(const Chunk& bits, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t half = bits[static_cast<std::size_t>(i)];
    const std::uint32_t magnitude = half & 0x7fffu;
    const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
    const std::uint32_t special = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
    out[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | special |
                                  ((half & 0x8000u) << 16));
  }
}

void convert_bfloats(const Chunk& bits, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t upper = bits[static_cast<std::size_t>(i)];
    out[i] = std::bit_cast<float>(upper << 16);
  }
}

void convert_row(const std::byte* row, ElementType type, std::int64_t count, float* out) {
  if (type == ElementType::f32) {
    std::memcpy(out, row, static_cast<std::size_t>(count) * sizeof(float));
    return;
  }
  Chunk bits;  // a copy, because the tensor may lie at an odd address
  for (std::int64_t i = 0; i < count; i += kChunk) {
    const std::int64_t part = std::min(kChunk, count - i);
    std::memcpy(bits.data(), row + 2 * i, static_cast<std::size_t>(part) * 2);
    if (type == ElementType::f16) {
      convert_halves(bits, part, out + i);
    } else {
      convert_bfloats(bits, part, out + i);
    }
  }
}

}  // namespace

Matrix load_weight(const HostTensor& weight, int threads) {
  Matrix out = allocate_matrix(weight.rows, weight.cols, weight.cols);
  const MatrixView to = out;
  const std::int64_t row_bytes = weight.cols * (weight.type == ElementType::f32 ? 4 : 2);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t i = 0; i < weight.rows; ++i) {
    convert_row(weight.data + i * row_bytes, weight.type, weight.cols, to.row(i));
  }
  return out;
}

}  // namespace shardquant::kernels
