#pragma once

#include "kernels/cuda/launch.cuh"

namespace shardquant::kernels::cuda {

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Greatest {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

struct Least {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

/// Over the 32 lanes of a warp, in an order that is fixed; the result is on all lanes.
template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  }
  return value;
}

/// Over all threads of a block, in an order that is fixed; the result is on all threads.
/// scratch: shared, one T per warp. @pre blockDim.x is a multiple of 32; every thread calls it
template <class T, class Combine>
__device__ T block_reduce(T value, Combine combine, T* scratch) {
  value = warp_reduce(value, combine);
  const unsigned warp = threadIdx.x / kWarp;
  if (threadIdx.x % kWarp == 0) scratch[warp] = value;
  __syncthreads();
  value = scratch[0];
  for (unsigned i = 1; i < blockDim.x / kWarp; ++i) value = combine(value, scratch[i]);
  __syncthreads();  // scratch may be used again
  return value;
}

}  // namespace shardquant::kernels::cuda
