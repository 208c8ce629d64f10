#include <cmath>

#include "kernels/cpu/forward/forward_kernels.hpp"
#include "kernels/cpu/forward/lane_reductions.hpp"

namespace shardquant::kernels {

void rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon, MatrixView out,
              int threads) {
  const float* scale_by = weight.data;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const float* in = x.row(t);
    float* to = out.row(t);
    const double squares = lane_sum(in, x.cols, [](double value) { return value * value; });
    const double mean = squares / static_cast<double>(x.cols);
    const auto scale = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(epsilon)));
    for (std::int64_t i = 0; i < x.cols; ++i) to[i] = in[i] * scale * scale_by[i];
  }
}

}  // namespace shardquant::kernels
