#include "kernels/cpu/forward/fast_exp.hpp"
#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

namespace {

float silu(float x) {
  return x / (1.0f + fast_exp(-x));
}

// 1 + tanh(y) = 2 / (1 + exp(-2 y)).
float gelu_tanh(float x) {
  constexpr float kTwiceRoot = 1.5957691216f;  // 2 sqrt(2 / pi)
  return x / (1.0f + fast_exp(-kTwiceRoot * (x + 0.044715f * x * x * x)));
}

template <class Function>
void multiply_gates(MatrixView gate, ConstMatrixView up, int threads, Function activation) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < gate.rows; ++t) {
    float* g = gate.row(t);
    const float* u = up.row(t);
    for (std::int64_t i = 0; i < gate.cols; ++i) g[i] = activation(g[i]) * u[i];
  }
}

}  // namespace

void gated_product(MatrixView gate, ConstMatrixView up, Activation activation, int threads) {
  if (activation == Activation::silu) {
    multiply_gates(gate, up, threads, [](float x) { return silu(x); });
  } else {
    multiply_gates(gate, up, threads, [](float x) { return gelu_tanh(x); });
  }
}

}  // namespace shardquant::kernels
