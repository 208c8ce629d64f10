#include <algorithm>
#include <cstring>

#include "kernels/api/half_types.hpp"
#include "kernels/cpu/allocate_matrix.hpp"
#include "kernels/cpu/quantizer/group_kernels.hpp"
#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

namespace {

template <class Stored>
float read_element(const std::byte* data, std::int64_t index) {
  Stored value;
  std::memcpy(&value, data + index * static_cast<std::int64_t>(sizeof value), sizeof value);
  if constexpr (std::is_same_v<Stored, float>) {
    return value;
  } else {
    return to_float(value);
  }
}

template <class Stored>
void transpose_as(const HostTensor& weight, std::span<const std::int32_t> perm, MatrixView out,
                  int threads) {
  constexpr std::int64_t kTile = 64;
  const std::int64_t tiles = (weight.rows + kTile - 1) / kTile;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = tile * kTile;
    const std::int64_t last = std::min(first + kTile, weight.rows);
    for (std::int64_t k = 0; k < weight.cols; ++k) {
      float* row = out.row(k);
      const std::int64_t source = perm[k];
      for (std::int64_t n = first; n < last; ++n) {
        row[n] = read_element<Stored>(weight.data, n * weight.cols + source);
      }
    }
  }
}

}  // namespace

Matrix permuted_transpose(const HostTensor& weight, std::span<const std::int32_t> perm,
                          int threads) {
  const std::int64_t stride = (weight.rows + kColumnVector - 1) / kColumnVector * kColumnVector;
  Matrix out = allocate_matrix(weight.cols, weight.rows, stride);
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    float* row = out.view().row(k);
    std::fill(row + weight.rows, row + stride, 0.0f);
  }
  switch (weight.type) {
    case ElementType::f32:
      transpose_as<float>(weight, perm, out, threads);
      break;
    case ElementType::f16:
      transpose_as<Half>(weight, perm, out, threads);
      break;
    case ElementType::bf16:
      transpose_as<BFloat16>(weight, perm, out, threads);
      break;
  }
  return out;
}

}  // namespace shardquant::kernels
