#include "kernels/cpu/forward/fast_exp.hpp"
#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

void silu_product(MatrixView gate, ConstMatrixView up, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < gate.rows; ++t) {
    float* g = gate.row(t);
    const float* u = up.row(t);
    for (std::int64_t i = 0; i < gate.cols; ++i) {
      g[i] = g[i] / (1.0f + fast_exp(-g[i])) * u[i];
    }
  }
}

}  // namespace shardquant::kernels
