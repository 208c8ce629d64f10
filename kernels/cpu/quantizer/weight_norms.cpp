#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

namespace {

struct PanelNorms {
  double damped = 0.0;
  double weight = 0.0;
};

// ||R^T W||_F^2 over the columns of one panel, R = A diag(pivots), block row by block row.
PanelNorms panel_norms(ConstMatrixView weight, const HessianFactor& factor) {
  constexpr std::int64_t kBlock = 256;
  const ConstMatrixView a = factor.unit_factor;
  const auto cols = static_cast<blasint>(weight.cols);
  std::vector<float> product(std::min(kBlock, weight.rows) * weight.cols);
  PanelNorms norms;
  for (std::int64_t first = 0; first < weight.rows; first += kBlock) {
    const std::int64_t rows = std::min(kBlock, weight.rows - first);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* from = weight.row(first + r);
      std::copy(from, from + weight.cols, &product[r * weight.cols]);
    }
    cblas_strmm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasUnit,
                static_cast<blasint>(rows), cols, 1.0f, a.row(first) + first,
                static_cast<blasint>(a.stride), product.data(), cols);
    if (first > 0) {
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, static_cast<blasint>(rows), cols,
                  static_cast<blasint>(first), 1.0f, a.data + first, static_cast<blasint>(a.stride),
                  weight.data, static_cast<blasint>(weight.stride), 1.0f, product.data(), cols);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      double sum = 0.0;
      double weight_sum = 0.0;
      for (std::int64_t n = 0; n < weight.cols; ++n) {
        const double value = product[r * weight.cols + n];
        const double w = weight.row(first + r)[n];
        sum += value * value;
        weight_sum += w * w;
      }
      const double pivot = factor.pivots[first + r];
      norms.damped += sum * pivot * pivot;
      norms.weight += weight_sum;
    }
  }
  return norms;
}

}  // namespace

WeightNorms weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                         ConstMatrixView sketches, std::int64_t sketch_rows, int threads) {
  constexpr std::int64_t kPanel = 512;
  const std::int64_t panels = (weight.cols + kPanel - 1) / kPanel;
  std::vector<PanelNorms> parts(panels);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t first = panel * kPanel;
    ConstMatrixView columns = weight;
    columns.data += first;
    columns.cols = std::min(kPanel, weight.cols - first);
    parts[panel] = panel_norms(columns, factor);
  }
  WeightNorms norms;
  for (const PanelNorms& part : parts) {
    norms.damped += part.damped;
    norms.weight += part.weight;
  }
  norms.row_norms = sketched_norms(sketches, sketch_rows, weight, threads);
  return norms;
}

}  // namespace shardquant::kernels
