#include "kernels/cuda/forward/forward_launchers.hpp"
#include "kernels/cuda/launch.cuh"

namespace shardquant::kernels::cuda {

namespace {

__device__ inline float silu(float x) {
  return x / (1.0f + expf(-x));
}

// 1 + tanh(y) = 2 / (1 + exp(-2 y)).
__device__ inline float gelu_tanh(float x) {
  constexpr float kTwiceRoot = 1.5957691216f;  // 2 sqrt(2 / pi)
  return x / (1.0f + expf(-kTwiceRoot * (x + 0.044715f * x * x * x)));
}

template <Activation kActivation>
__global__ void gated_product_kernel(MatrixView gate, ConstMatrixView up) {
  const std::int64_t count = gate.size();
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    float& g = gate.row(i / gate.cols)[i % gate.cols];
    const float open = kActivation == Activation::silu ? silu(g) : gelu_tanh(g);
    g = open * up.row(i / gate.cols)[i % gate.cols];
  }
}

__global__ void soft_cap_kernel(MatrixView x, float cap) {
  const std::int64_t count = x.size();
  for (std::int64_t i = thread_in_grid(); i < count; i += threads_in_grid()) {
    float& value = x.row(i / x.cols)[i % x.cols];
    value = cap * tanhf(value / cap);
  }
}

}  // namespace

void launch_gated_product(MatrixView gate, ConstMatrixView up, Activation activation,
                          cudaStream_t stream) {
  if (gate.size() == 0) return;
  const auto kernel = activation == Activation::silu ? gated_product_kernel<Activation::silu>
                                                     : gated_product_kernel<Activation::gelu_tanh>;
  launch(stream, blocks_for_loop(gate.size(), 256), 256, 0, kernel, gate, up);
}

void launch_soft_cap(MatrixView x, float cap, cudaStream_t stream) {
  if (x.size() == 0) return;
  launch(stream, blocks_for_loop(x.size(), 256), 256, 0, soft_cap_kernel, x, cap);
}

}  // namespace shardquant::kernels::cuda
