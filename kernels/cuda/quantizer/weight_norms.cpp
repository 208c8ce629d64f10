#include <algorithm>
#include <numeric>

#include "kernels/cuda/matrix_products.hpp"
#include "kernels/cuda/quantizer/quantize_matrix.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

std::vector<double> sketched_norms(DeviceContext& context, ConstMatrixView sketches,
                                   std::int64_t sketch_rows, ConstMatrixView matrix) {
  if (sketches.rows == 0) return {};
  std::vector<double> norms(static_cast<std::size_t>(sketches.rows / sketch_rows));
  DeviceBuffer<float> product(context.memory(), sketches.rows * matrix.cols);
  DeviceBuffer<double> sums(context.memory(), static_cast<std::int64_t>(norms.size()));
  const MatrixView out{product.get(), sketches.rows, matrix.cols, matrix.cols};
  multiply(context, sketches, matrix, out);
  launch_squared_sums(out, nullptr, sketch_rows, sums.get(), context.stream().get());
  context.download(sums.get(), std::span(norms));
  return norms;
}

// ||R^T W||_F^2 with R = A diag(pivots): block row by block row of A^T W, zeros of A included.
WeightNorms weight_norms(DeviceContext& context, ConstMatrixView weight,
                         const HessianFactor& factor, ConstMatrixView sketches,
                         std::int64_t sketch_rows) {
  constexpr std::int64_t kRows = 512;
  const ConstMatrixView a = factor.unit_factor;
  const cudaStream_t stream = context.stream().get();
  DeviceBuffer<float> pivots(context.memory(), weight.rows);
  context.upload(std::as_bytes(std::span(factor.pivots)), pivots.get());
  DeviceBuffer<float> product(context.memory(), std::min(kRows, weight.rows) * weight.stride);
  DeviceBuffer<double> damped(context.memory(), weight.rows);
  DeviceBuffer<double> plain(context.memory(), weight.rows);
  for (std::int64_t first = 0; first < weight.rows; first += kRows) {
    const std::int64_t rows = std::min(kRows, weight.rows - first);
    const std::int64_t depth = first + rows;
    const MatrixView out{product.get(), rows, weight.cols, weight.stride};
    multiply_transposed(context, {a.data + first, depth, rows, a.stride},
                        weight.row_range(0, depth), 0.0f, out, {});
    launch_squared_sums(out, pivots.get() + first, 1, damped.get() + first, stream);
  }
  launch_squared_sums(weight, nullptr, 1, plain.get(), stream);
  std::vector<double> damped_rows(static_cast<std::size_t>(weight.rows));
  std::vector<double> plain_rows(damped_rows.size());
  context.download(damped.get(), std::span(damped_rows));
  context.download(plain.get(), std::span(plain_rows));
  WeightNorms norms;
  norms.damped = std::accumulate(damped_rows.begin(), damped_rows.end(), 0.0);
  norms.weight = std::accumulate(plain_rows.begin(), plain_rows.end(), 0.0);
  norms.row_norms = sketched_norms(context, sketches, sketch_rows, weight);
  return norms;
}

}  // namespace shardquant::kernels::cuda
