#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/forward/forward_kernels.hpp"

namespace shardquant::kernels {

namespace {

// A panel of the output is one product; at this size packing the operands costs about a tenth.
constexpr std::int64_t kPanelTokens = 1024;
constexpr std::int64_t kPanelOutputs = 512;

}  // namespace

void linear(ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias, MatrixView out,
            int threads) {
  const bool has_bias = bias.data != nullptr;
  const std::int64_t across = (weight.rows + kPanelOutputs - 1) / kPanelOutputs;
  const std::int64_t down = (x.rows + kPanelTokens - 1) / kPanelTokens;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t panel = 0; panel < across * down; ++panel) {
    // Neighbours in the loop share the tokens of a panel, which then stay in the cache.
    const std::int64_t t = panel / across * kPanelTokens;
    const std::int64_t n = panel % across * kPanelOutputs;
    const std::int64_t tokens = std::min(kPanelTokens, x.rows - t);
    const std::int64_t outputs = std::min(kPanelOutputs, weight.rows - n);
    if (has_bias) {
      for (std::int64_t i = t; i < t + tokens; ++i) {
        std::copy_n(bias.data + n, outputs, out.row(i) + n);
      }
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(tokens),
                static_cast<blasint>(outputs), static_cast<blasint>(x.cols), 1.0f, x.row(t),
                static_cast<blasint>(x.stride), weight.row(n), static_cast<blasint>(weight.stride),
                has_bias ? 1.0f : 0.0f, out.row(t) + n, static_cast<blasint>(out.stride));
  }
}

void multiply(ConstMatrixView a, ConstMatrixView b, MatrixView out) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<blasint>(a.rows),
              static_cast<blasint>(b.cols), static_cast<blasint>(a.cols), 1.0f, a.data,
              static_cast<blasint>(a.stride), b.data, static_cast<blasint>(b.stride), 0.0f,
              out.data, static_cast<blasint>(out.stride));
}

}  // namespace shardquant::kernels
