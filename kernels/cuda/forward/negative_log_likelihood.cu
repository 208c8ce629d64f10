#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/forward/forward_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void negative_log_likelihood_kernel(ConstMatrixView logits, const std::int32_t* targets,
                                               double* losses) {
  double* scratch = shared_memory<double>();
  for (std::int64_t t = blockIdx.x; t < logits.rows; t += gridDim.x) {
    const std::int32_t target = targets[t];
    if (target < 0) {  // the same for all threads of the block
      if (threadIdx.x == 0) losses[t] = 0.0;
      continue;
    }
    const float* row = logits.row(t);
    float highest = row[0];
    for (std::int64_t i = threadIdx.x; i < logits.cols; i += blockDim.x) {
      highest = fmaxf(highest, row[i]);
    }
    highest = block_reduce(highest, Greatest{}, reinterpret_cast<float*>(scratch));
    double sum = 0.0;
    for (std::int64_t i = threadIdx.x; i < logits.cols; i += blockDim.x) {
      sum += static_cast<double>(expf(row[i] - highest));
    }
    sum = block_reduce(sum, Sum{}, scratch);
    if (threadIdx.x == 0) {
      losses[t] = log(sum) - (static_cast<double>(row[target]) - static_cast<double>(highest));
    }
  }
}

}  // namespace

void launch_negative_log_likelihood(ConstMatrixView logits, const std::int32_t* targets,
                                    double* losses, cudaStream_t stream) {
  if (logits.rows == 0) return;
  launch(stream, blocks_for_loop(logits.rows, 1), kThreads, kThreads / kWarp * sizeof(double),
         negative_log_likelihood_kernel, logits, targets, losses);
}

}  // namespace shardquant::kernels::cuda
