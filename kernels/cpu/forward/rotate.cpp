#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

void rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines, ConstMatrixView sines,
            int threads) {
  const std::int64_t half = cosines.cols;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const float* c = cosines.row(t % cosines.rows);
    const float* s = sines.row(t % sines.rows);
    for (std::int64_t head = 0; head < heads; ++head) {
      float* first = x.row(t) + head * 2 * half;
      float* second = first + half;
      for (std::int64_t i = 0; i < half; ++i) {
        const float a = first[i];
        const float b = second[i];
        first[i] = a * c[i] - b * s[i];
        second[i] = b * c[i] + a * s[i];
      }
    }
  }
}

}  // namespace shardquant::kernels
