#include <bit>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// Nearest bfloat16, ties to even; NaN stays NaN.
__device__ std::uint16_t to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

__global__ void split_kernel(ConstMatrixView x, int pieces, std::int64_t plane_stride,
                             std::uint16_t* planes) {
  const std::int64_t count = x.rows * plane_stride;
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    const std::int64_t col = i % plane_stride;
    float rest = col < x.cols ? x.row(i / plane_stride)[col] : 0.0f;
    for (int p = 0; p < pieces; ++p) {
      const std::uint16_t piece = to_bfloat16(rest);
      planes[p * count + i] = piece;
      rest -= from_bfloat16(piece);
    }
  }
}

}  // namespace

void launch_split(ConstMatrixView x, int pieces, std::int64_t plane_stride, std::uint16_t* planes,
                  cudaStream_t stream) {
  const std::int64_t count = x.rows * plane_stride;
  if (count == 0) return;
  launch(stream, blocks_for_loop(count, 256), 256, 0, split_kernel, x, pieces, plane_stride,
         planes);
}

}  // namespace shardquant::kernels::cuda
