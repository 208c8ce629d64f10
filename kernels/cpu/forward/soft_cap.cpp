#include <cmath>

#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

void soft_cap(MatrixView x, float cap, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < x.rows; ++t) {
    float* row = x.row(t);
    for (std::int64_t i = 0; i < x.cols; ++i) row[i] = cap * std::tanh(row[i] / cap);
  }
}

}  // namespace shardquant::kernels
