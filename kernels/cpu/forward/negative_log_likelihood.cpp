#include <cmath>

#include "kernels/cpu/forward/fast_exp.hpp"
#include "kernels/cpu/forward/forward_kernels.hpp"
#include "kernels/cpu/forward/lane_reductions.hpp"

namespace shardquant::kernels {

void negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                             std::span<double> losses, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    const std::int32_t target = targets[static_cast<std::size_t>(t)];
    double& loss = losses[static_cast<std::size_t>(t)];
    loss = 0.0;
    if (target < 0) continue;
    float* row = logits.row(t);
    const float highest = lane_max(row, logits.cols);
    const double above = static_cast<double>(row[target]) - static_cast<double>(highest);
    for (std::int64_t i = 0; i < logits.cols; ++i) row[i] = fast_exp(row[i] - highest);
    loss = std::log(lane_sum(row, logits.cols)) - above;
  }
}

}  // namespace shardquant::kernels
