#include <cblas.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

namespace {

// Tiles of the upper triangle that threads take one at a time; fixed, so that sums do not depend on
// the number of threads.
constexpr std::int64_t kTile = 1024;

}  // namespace

void accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian, int threads) {
  const auto tokens = static_cast<blasint>(x.rows);
  const auto x_stride = static_cast<blasint>(x.stride);
  const auto h_stride = static_cast<blasint>(hessian.stride);
  std::vector<std::pair<std::int64_t, std::int64_t>> tiles;
  for (std::int64_t i = 0; i < x.cols; i += kTile) {
    for (std::int64_t j = i; j < x.cols; j += kTile) tiles.emplace_back(i, j);
  }
  const auto count = static_cast<std::int64_t>(tiles.size());
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t t = 0; t < count; ++t) {
    const auto [i, j] = tiles[static_cast<std::size_t>(t)];
    const auto rows = static_cast<blasint>(std::min(kTile, x.cols - i));
    const auto cols = static_cast<blasint>(std::min(kTile, x.cols - j));
    float* out = hessian.row(i) + j;
    if (i == j) {
      cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, rows, tokens, scale, x.data + i, x_stride,
                  1.0f, out, h_stride);
    } else {
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, cols, tokens, scale, x.data + i,
                  x_stride, x.data + j, x_stride, 1.0f, out, h_stride);
    }
  }
}

}  // namespace shardquant::kernels
