#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"
#include "kernels/cuda/stored_element.cuh"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kTile = 32;
constexpr int kTileRows = 8;  // threads along a tile's second side; each takes four of its rows

// One tile of 32 x 32: reads along the stored rows (gathered by perm, within few cache lines of a
// row), writes along the rows of out.
template <class Stored>
__global__ void permuted_transpose_kernel(const Stored* stored, const std::int32_t* perm,
                                          MatrixView out) {
  float* tile = shared_memory<float>();  // [kTile][kTile + 1]: no two rows in the same bank
  const std::int64_t k0 = static_cast<std::int64_t>(blockIdx.x) * kTile;
  const std::int64_t n0 = static_cast<std::int64_t>(blockIdx.y) * kTile;
  const std::int64_t k = k0 + threadIdx.x;
  for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
    float value = 0.0f;
    if (k < out.rows && n0 + i < out.cols) {
      value = stored_to_float(stored[(n0 + i) * out.rows + perm[k]]);
    }
    tile[i * (kTile + 1) + static_cast<int>(threadIdx.x)] = value;
  }
  __syncthreads();
  const std::int64_t n = n0 + threadIdx.x;
  if (n >= out.stride) return;
  for (int i = static_cast<int>(threadIdx.y); i < kTile && k0 + i < out.rows; i += kTileRows) {
    out.row(k0 + i)[n] = tile[static_cast<int>(threadIdx.x) * (kTile + 1) + i];
  }
}

}  // namespace

void launch_permuted_transpose(const void* stored, ElementType type, const std::int32_t* perm,
                               MatrixView out, cudaStream_t stream) {
  if (out.rows == 0 || out.stride == 0) return;
  const dim3 grid(blocks_for(out.rows, kTile), blocks_for(out.stride, kTile));
  with_stored_type(type, [&]<class Stored>(const Stored*) {
    launch(stream, grid, dim3(kTile, kTileRows), kTile * (kTile + 1) * sizeof(float),
           permuted_transpose_kernel<Stored>, static_cast<const Stored*>(stored), perm, out);
  });
}

}  // namespace shardquant::kernels::cuda
