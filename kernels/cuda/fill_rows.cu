#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

__global__ void fill_rows_kernel(ConstMatrixView bias, MatrixView out) {
  const std::int64_t count = out.size();
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    out.row(i / out.cols)[i % out.cols] = bias.data[i % out.cols];
  }
}

}  // namespace

void launch_fill_rows(ConstMatrixView bias, MatrixView out, cudaStream_t stream) {
  if (out.size() == 0) return;
  launch(stream, blocks_for_loop(out.size(), 256), 256, 0, fill_rows_kernel, bias, out);
}

}  // namespace shardquant::kernels::cuda
