#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/forward/forward_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void rms_norm_kernel(ConstMatrixView x, ConstMatrixView weight, float epsilon,
                                MatrixView out) {
  double* scratch = shared_memory<double>();
  for (std::int64_t t = blockIdx.x; t < x.rows; t += gridDim.x) {
    const float* in = x.row(t);
    double squares = 0.0;
    for (std::int64_t i = threadIdx.x; i < x.cols; i += blockDim.x) {
      squares += static_cast<double>(in[i]) * static_cast<double>(in[i]);
    }
    squares = block_reduce(squares, Sum{}, scratch);
    const double mean = squares / static_cast<double>(x.cols);
    const auto scale = static_cast<float>(1.0 / sqrt(mean + static_cast<double>(epsilon)));
    float* to = out.row(t);
    for (std::int64_t i = threadIdx.x; i < x.cols; i += blockDim.x) {
      to[i] = in[i] * scale * weight.data[i];
    }
  }
}

}  // namespace

void launch_rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon, MatrixView out,
                     cudaStream_t stream) {
  if (x.size() == 0) return;
  // Norms over heads have rows far shorter than the hidden size.
  const int threads = x.cols <= 128 ? kWarp : kThreads;
  launch(stream, blocks_for_loop(x.rows, 1), static_cast<unsigned>(threads),
         kThreads / kWarp * sizeof(double), rms_norm_kernel, x, weight, epsilon, out);
}

}  // namespace shardquant::kernels::cuda
