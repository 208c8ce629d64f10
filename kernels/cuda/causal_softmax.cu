#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 128;

__global__ void causal_softmax_kernel(float* scores, std::int64_t batch, std::int64_t queries,
                                      std::int64_t keys, std::int64_t first_query,
                                      std::int64_t first_key, std::int64_t window) {
  float* scratch = shared_memory<float>();
  for (std::int64_t row = blockIdx.x; row < batch * queries; row += gridDim.x) {
    const std::int64_t query = first_query + row % queries;
    const std::int64_t oldest = query - window + 1 > 0 ? query - window + 1 : 0;
    const std::int64_t first = oldest > first_key ? oldest - first_key : 0;
    const std::int64_t last = query + 1 - first_key;
    float* seen = scores + row * keys;
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
    for (std::int64_t i = threadIdx.x; i < keys; i += blockDim.x) {
      seen[i] = i >= first && i < last ? seen[i] * scale : 0.0f;
    }
  }
}

}  // namespace

void launch_causal_softmax(float* scores, std::int64_t batch, std::int64_t queries,
                           std::int64_t keys, std::int64_t first_query, std::int64_t first_key,
                           std::int64_t window, cudaStream_t stream) {
  if (batch * queries * keys == 0) return;
  const auto blocks = static_cast<unsigned>(batch * queries);
  launch(stream, blocks, kThreads, kThreads / kWarp * sizeof(float), causal_softmax_kernel, scores,
         batch, queries, keys, first_query, first_key, window);
}

}  // namespace shardquant::kernels::cuda
