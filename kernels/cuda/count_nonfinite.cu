#include <bit>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void count_nonfinite_kernel(ConstMatrixView x, Part part, std::int64_t* counts,
                                       std::int64_t* firsts) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  std::int64_t* scratch = shared_memory<std::int64_t>();
  std::int64_t count = 0;
  std::int64_t first = x.size();
  for (std::int64_t i = thread_in_grid(); i < x.size(); i += threads_in_grid()) {
    const std::int64_t row = i / x.cols;
    const std::int64_t col = i % x.cols;
    if (part == Part::upper_triangle && col < row) continue;
    const float value = x.row(row)[col];
    if ((std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent) continue;
    ++count;
    if (i < first) first = i;
  }
  count = block_reduce(count, Sum{}, scratch);
  first = block_reduce(first, Least{}, scratch);
  if (threadIdx.x == 0) {
    counts[blockIdx.x] = count;
    firsts[blockIdx.x] = first;
  }
}

}  // namespace

void launch_count_nonfinite(ConstMatrixView x, Part part, std::int64_t* counts,
                            std::int64_t* firsts, cudaStream_t stream) {
  launch(stream, kCountBlocks, kThreads, kThreads / kWarp * sizeof(std::int64_t),
         count_nonfinite_kernel, x, part, counts, firsts);
}

}  // namespace shardquant::kernels::cuda
