#include "kernels/cuda/forward/forward_launchers.hpp"
#include "kernels/cuda/launch.cuh"

namespace shardquant::kernels::cuda {

namespace {

__global__ void add_kernel(MatrixView x, ConstMatrixView y) {
  const std::int64_t count = x.size();
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    x.row(i / x.cols)[i % x.cols] += y.row(i / x.cols)[i % x.cols];
  }
}

}  // namespace

void launch_add(MatrixView x, ConstMatrixView y, cudaStream_t stream) {
  if (x.size() == 0) return;
  launch(stream, blocks_for_loop(x.size(), 256), 256, 0, add_kernel, x, y);
}

}  // namespace shardquant::kernels::cuda
