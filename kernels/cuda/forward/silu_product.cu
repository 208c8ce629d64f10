#include "kernels/cuda/forward/forward_launchers.hpp"
#include "kernels/cuda/launch.cuh"

namespace shardquant::kernels::cuda {

namespace {

__global__ void silu_product_kernel(MatrixView gate, ConstMatrixView up) {
  const std::int64_t count = gate.size();
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    float& g = gate.row(i / gate.cols)[i % gate.cols];
    g = g / (1.0f + expf(-g)) * up.row(i / gate.cols)[i % gate.cols];
  }
}

}  // namespace

void launch_silu_product(MatrixView gate, ConstMatrixView up, cudaStream_t stream) {
  if (gate.size() == 0) return;
  launch(stream, blocks_for_loop(gate.size(), 256), 256, 0, silu_product_kernel, gate, up);
}

}  // namespace shardquant::kernels::cuda
