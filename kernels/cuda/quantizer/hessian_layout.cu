#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kTile = 32;
constexpr int kTileRows = 8;  // threads along a tile's second side; each takes four of its rows

__global__ void add_upper_kernel(ConstMatrixView from, MatrixView to) {
  const std::int64_t count = from.size();
  for (std::int64_t at = thread_in_grid(); at < count; at += threads_in_grid()) {
    const std::int64_t i = at / from.cols;
    const std::int64_t j = at % from.cols;
    if (j >= i) to.row(i)[j] += from.row(i)[j];
  }
}

__global__ void gather_diagonal_kernel(ConstMatrixView h, float* diagonal) {
  for (std::int64_t i = thread_in_grid(); i < h.rows; i += threads_in_grid()) {
    diagonal[i] = h.row(i)[i];
  }
}

__global__ void permute_symmetric_kernel(ConstMatrixView h, const std::int32_t* order,
                                         MatrixView out) {
  const std::int64_t count = out.size();
  for (std::int64_t at = thread_in_grid(); at < count; at += threads_in_grid()) {
    const std::int64_t i = at / out.cols;
    const std::int64_t j = at % out.cols;
    const std::int64_t a = order[i];
    const std::int64_t b = order[j];
    out.row(i)[j] = a < b ? h.row(a)[b] : h.row(b)[a];
  }
}

// A tile below the diagonal becomes the transpose of its mirror image; a block per tile.
__global__ void mirror_damped_kernel(MatrixView h, const float* diagonal, float damp) {
  if (blockIdx.x > blockIdx.y) return;   // the whole block: no thread of it meets the barrier
  float* tile = shared_memory<float>();  // [kTile][kTile + 1]
  const auto x = static_cast<int>(threadIdx.x);
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.y) * kTile;  // of the lower tile
  const std::int64_t col0 = static_cast<std::int64_t>(blockIdx.x) * kTile;
  for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
    if (col0 + i < h.rows && row0 + x < h.cols) {
      tile[i * (kTile + 1) + x] = h.row(col0 + i)[row0 + x];
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.y); i < kTile; i += kTileRows) {
    const std::int64_t row = row0 + i;
    const std::int64_t col = col0 + x;
    if (row >= h.rows || col > row) continue;
    h.row(row)[col] = col == row ? diagonal[row] + damp : tile[x * (kTile + 1) + i];
  }
}

__global__ void widen_lower_kernel(ConstMatrixView h, double* wide) {
  for (std::int64_t at = thread_in_grid(); at < h.size(); at += threads_in_grid()) {
    const std::int64_t i = at / h.cols;
    const std::int64_t j = at % h.cols;
    if (j <= i) wide[at] = static_cast<double>(h.row(i)[j]);
  }
}

__global__ void narrow_lower_kernel(const double* wide, MatrixView h) {
  for (std::int64_t at = thread_in_grid(); at < h.size(); at += threads_in_grid()) {
    const std::int64_t i = at / h.cols;
    const std::int64_t j = at % h.cols;
    if (j <= i) h.row(i)[j] = static_cast<float>(wide[at]);
  }
}

__global__ void set_identity_kernel(MatrixView h) {
  for (std::int64_t at = thread_in_grid(); at < h.size(); at += threads_in_grid()) {
    const std::int64_t i = at / h.cols;
    const std::int64_t j = at % h.cols;
    h.row(i)[j] = i == j ? 1.0f : 0.0f;
  }
}

__device__ float unit_element(float value, std::int64_t i, std::int64_t j, const float* pivots) {
  if (j < i) return 0.0f;
  return j == i ? 1.0f : value / pivots[j];
}

// Each thread exchanges an element of the first half of the matrix with the one that mirrors it.
__global__ void reverse_to_unit_factor_kernel(MatrixView h, const float* pivots) {
  const std::int64_t n = h.rows;
  const std::int64_t count = n * n;
  for (std::int64_t at = thread_in_grid(); at < (count + 1) / 2; at += threads_in_grid()) {
    const std::int64_t i = at / n;
    const std::int64_t j = at % n;
    float& front = h.row(i)[j];
    float& back = h.row(n - 1 - i)[n - 1 - j];
    const float front_value = front;
    const float back_value = back;
    front = unit_element(back_value, i, j, pivots);
    back = unit_element(front_value, n - 1 - i, n - 1 - j, pivots);
  }
}

}  // namespace

void launch_add_upper(ConstMatrixView from, MatrixView to, cudaStream_t stream) {
  if (from.size() == 0) return;
  launch(stream, blocks_for_loop(from.size(), 256), 256, 0, add_upper_kernel, from, to);
}

void launch_gather_diagonal(ConstMatrixView h, float* diagonal, cudaStream_t stream) {
  if (h.rows == 0) return;
  launch(stream, blocks_for_loop(h.rows, 256), 256, 0, gather_diagonal_kernel, h, diagonal);
}

void launch_permute_symmetric(ConstMatrixView h, const std::int32_t* order, MatrixView out,
                              cudaStream_t stream) {
  if (out.size() == 0) return;
  launch(stream, blocks_for_loop(out.size(), 256), 256, 0, permute_symmetric_kernel, h, order, out);
}

void launch_mirror_damped(MatrixView h, const float* diagonal, float damp, cudaStream_t stream) {
  if (h.rows == 0) return;
  const unsigned tiles = blocks_for(h.rows, kTile);
  launch(stream, dim3(tiles, tiles), dim3(kTile, kTileRows), kTile * (kTile + 1) * sizeof(float),
         mirror_damped_kernel, h, diagonal, damp);
}

void launch_widen_lower(ConstMatrixView h, double* wide, cudaStream_t stream) {
  if (h.size() == 0) return;
  launch(stream, blocks_for_loop(h.size(), 256), 256, 0, widen_lower_kernel, h, wide);
}

void launch_narrow_lower(const double* wide, MatrixView h, cudaStream_t stream) {
  if (h.size() == 0) return;
  launch(stream, blocks_for_loop(h.size(), 256), 256, 0, narrow_lower_kernel, wide, h);
}

void launch_set_identity(MatrixView h, cudaStream_t stream) {
  if (h.size() == 0) return;
  launch(stream, blocks_for_loop(h.size(), 256), 256, 0, set_identity_kernel, h);
}

void launch_reverse_to_unit_factor(MatrixView h, const float* pivots, cudaStream_t stream) {
  if (h.rows == 0) return;
  launch(stream, blocks_for_loop((h.rows * h.rows + 1) / 2, 256), 256, 0,
         reverse_to_unit_factor_kernel, h, pivots);
}

}  // namespace shardquant::kernels::cuda
