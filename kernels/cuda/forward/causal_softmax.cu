#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/forward/forward_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 128;

__global__ void causal_softmax_kernel(float* scores, ScoreBlock block) {
  float* scratch = shared_memory<float>();
  for (std::int64_t row = blockIdx.x; row < block.batch * block.queries; row += gridDim.x) {
    const std::int64_t query = block.first_query + row % block.queries;
    const std::int64_t oldest = query - block.window + 1 > 0 ? query - block.window + 1 : 0;
    const std::int64_t first = oldest > block.first_key ? oldest - block.first_key : 0;
    const std::int64_t last = query + 1 - block.first_key;
    float* seen = scores + row * block.keys;
    float highest = seen[first];
    for (std::int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
      highest = fmaxf(highest, seen[i]);
    }
    highest = block_reduce(highest, Greatest{}, scratch);
    float sum = 0.0f;
    for (std::int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
      seen[i] = expf(seen[i] - highest);
      sum += seen[i];
    }
    sum = block_reduce(sum, Sum{}, scratch);
    const float scale = 1.0f / sum;
    for (std::int64_t i = threadIdx.x; i < block.keys; i += blockDim.x) {
      seen[i] = i >= first && i < last ? seen[i] * scale : 0.0f;
    }
  }
}

}  // namespace

void launch_causal_softmax(float* scores, const ScoreBlock& block, cudaStream_t stream) {
  const std::int64_t rows = block.batch * block.queries;
  if (rows * block.keys == 0) return;
  launch(stream, static_cast<unsigned>(rows), kThreads, kThreads / kWarp * sizeof(float),
         causal_softmax_kernel, scores, block);
}

}  // namespace shardquant::kernels::cuda
