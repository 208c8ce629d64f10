#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void squared_sums_kernel(ConstMatrixView x, const float* weights,
                                    std::int64_t rows_per_sum, double* sums) {
  double* scratch = shared_memory<double>();
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * rows_per_sum;
  const std::int64_t last = first + rows_per_sum < x.rows ? first + rows_per_sum : x.rows;
  double total = 0.0;
  for (std::int64_t row = first; row < last; ++row) {
    double sum = 0.0;
    for (std::int64_t i = threadIdx.x; i < x.cols; i += blockDim.x) {
      const double value = x.row(row)[i];
      sum += value * value;
    }
    const double weight = weights == nullptr ? 1.0 : static_cast<double>(weights[row]);
    total += sum * weight * weight;
  }
  total = block_reduce(total, Sum{}, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

}  // namespace

void launch_squared_sums(ConstMatrixView x, const float* weights, std::int64_t rows_per_sum,
                         double* sums, cudaStream_t stream) {
  if (x.rows == 0) return;
  launch(stream, blocks_for(x.rows, rows_per_sum), kThreads, kThreads / kWarp * sizeof(double),
         squared_sums_kernel, x, weights, rows_per_sum, sums);
}

}  // namespace shardquant::kernels::cuda
