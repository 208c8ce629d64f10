#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

void add(MatrixView x, ConstMatrixView y, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < x.rows; ++t) {
    float* to = x.row(t);
    const float* from = y.row(t);
    for (std::int64_t i = 0; i < x.cols; ++i) to[i] += from[i];
  }
}

}  // namespace shardquant::kernels
