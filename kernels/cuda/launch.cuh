#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/cuda/cuda_check.hpp"

// The only shared memory that kernels use; its size is given at the launch.
extern __shared__ __align__(16) unsigned char shardquant_shared_memory[];

namespace shardquant::kernels::cuda {

constexpr int kWarp = 32;

/// Shared memory of this block, `offset_bytes` from its beginning (a multiple of sizeof(T)).
template <class T>
__device__ T* shared_memory(int offset_bytes = 0) {
  return reinterpret_cast<T*>(shardquant_shared_memory + offset_bytes);
}

/// The one way kernels are started. Every extent of the grid is at least 1; grid.y and grid.z stay
/// below 65536. @throws DeviceError for a launch that cannot be made
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, dim3 grid, dim3 block, std::int64_t shared_bytes,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  constexpr std::int64_t kSharedWithoutAsking = 48 * 1024;
  if (shared_bytes > kSharedWithoutAsking) {
    SHARDQUANT_CUDA_TRY(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shared_bytes)));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = stream;
  SHARDQUANT_CUDA_TRY(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

/// Blocks of `size` that cover `count`.
constexpr unsigned blocks_for(std::int64_t count, std::int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

/// Blocks for a loop over `count` elements in steps of the whole grid; bounded, because enough
/// blocks to fill the device are as fast as one element a thread.
constexpr unsigned blocks_for_loop(std::int64_t count, std::int64_t size) {
  constexpr unsigned kMost = 4096;
  const std::int64_t blocks = (count + size - 1) / size;
  return blocks < kMost ? static_cast<unsigned>(blocks > 0 ? blocks : 1) : kMost;
}

/// This thread's place in the whole grid, and the number of threads in it, along x.
__device__ inline std::int64_t thread_in_grid() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t threads_in_grid() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

}  // namespace shardquant::kernels::cuda
