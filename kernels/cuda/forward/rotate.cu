#include "kernels/cuda/forward/forward_launchers.hpp"
#include "kernels/cuda/launch.cuh"

namespace shardquant::kernels::cuda {

namespace {

__global__ void rotate_kernel(MatrixView x, std::int64_t heads, ConstMatrixView cosines,
                              ConstMatrixView sines) {
  const std::int64_t half = cosines.cols;
  const std::int64_t pairs = heads * half;
  const std::int64_t count = x.rows * pairs;
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    const std::int64_t t = i / pairs;
    const std::int64_t head = i % pairs / half;
    const std::int64_t at = i % half;
    const float c = cosines.row(t % cosines.rows)[at];
    const float s = sines.row(t % cosines.rows)[at];
    float* first = x.row(t) + head * 2 * half + at;
    const float a = first[0];
    const float b = first[half];
    first[0] = a * c - b * s;
    first[half] = b * c + a * s;
  }
}

}  // namespace

void launch_rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines, ConstMatrixView sines,
                   cudaStream_t stream) {
  const std::int64_t count = x.rows * heads * cosines.cols;
  if (count == 0) return;
  launch(stream, blocks_for_loop(count, 256), 256, 0, rotate_kernel, x, heads, cosines, sines);
}

}  // namespace shardquant::kernels::cuda
