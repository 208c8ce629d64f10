#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

std::vector<double> sketched_norms(ConstMatrixView sketches, std::int64_t sketch_rows,
                                   ConstMatrixView matrix, int threads) {
  if (sketches.rows == 0) return {};
  constexpr std::int64_t kPanel = 512;
  const std::int64_t blocks = sketches.rows / sketch_rows;
  const std::int64_t panels = (matrix.cols + kPanel - 1) / kPanel;
  std::vector<double> panel_norms(blocks * panels);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t panel = 0; panel < panels; ++panel) {
    const std::int64_t first = panel * kPanel;
    const std::int64_t cols = std::min(kPanel, matrix.cols - first);
    std::vector<float> product(sketches.rows * cols);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(sketches.rows),
                static_cast<blasint>(cols), static_cast<blasint>(sketches.cols), 1.0f,
                sketches.data, static_cast<blasint>(sketches.stride), matrix.data + first,
                static_cast<blasint>(matrix.stride), 0.0f, product.data(),
                static_cast<blasint>(cols));
    for (std::int64_t block = 0; block < blocks; ++block) {
      double sum = 0.0;
      const float* values = &product[block * sketch_rows * cols];
      for (std::int64_t i = 0; i < sketch_rows * cols; ++i) {
        sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
      }
      panel_norms[block * panels + panel] = sum;
    }
  }
  std::vector<double> norms(blocks);
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      norms[block] += panel_norms[block * panels + panel];
    }
  }
  return norms;
}

}  // namespace shardquant::kernels
