#include "kernels/cuda/matrix_products.hpp"

#include <algorithm>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/launchers.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

// cuBLAS is column major: a row-major matrix is its own transpose there, and a product comes out
// right with its factors exchanged.

namespace shardquant::kernels::cuda {

namespace {

// Rows of the Hessian that are one product.
constexpr std::int64_t kHessianTile = 1024;

// A product of two bf16 matrices into a part of an fp32 one, column major.
struct HalfProduct {
  cublasOperation_t op_a, op_b;
  std::int64_t m, n, k;
  std::int64_t a_stride, b_stride, out_stride;
  float alpha;
};

void multiply_halves(DeviceContext& context, const HalfProduct& shape, const std::uint16_t* a,
                     const std::uint16_t* b, float beta, float* out) {
  SHARDQUANT_CUBLAS_TRY(cublasGemmEx_64(context.blas(), shape.op_a, shape.op_b, shape.m, shape.n,
                                        shape.k, &shape.alpha, a, CUDA_R_16BF, shape.a_stride, b,
                                        CUDA_R_16BF, shape.b_stride, &beta, out, CUDA_R_32F,
                                        shape.out_stride, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

// out = beta out + alpha sum over pairs of pieces, smallest terms first. Pairs whose product is
// below the last bit of the leading one are left out: with P pieces those with p + q >= P.
void multiply_split(DeviceContext& context, const HalfProduct& shape, const SplitMatrix& a,
                    std::int64_t a_column, const SplitMatrix& b, std::int64_t b_column, float beta,
                    float* out) {
  const int kept = std::max(a.pieces, b.pieces);
  for (int order = kept - 1; order >= 0; --order) {
    for (int p = 0; p <= order; ++p) {
      const int q = order - p;
      if (p >= a.pieces || q >= b.pieces) continue;
      multiply_halves(context, shape, a.plane(p) + a_column, b.plane(q) + b_column, beta, out);
      beta = 1.0f;
    }
  }
}

}  // namespace

void linear(DeviceContext& context, ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias,
            MatrixView out) {
  const bool has_bias = bias.data != nullptr;
  if (has_bias) launch_fill_rows(bias, out, context.stream().get());
  SplitMatrix scratch;
  const SplitMatrix& w = context.split_weight(weight, scratch);
  const SplitMatrix split_x = context.split(x, context.pieces());
  const HalfProduct shape{CUBLAS_OP_T, CUBLAS_OP_N,    weight.rows, x.rows, x.cols,
                          w.stride,    split_x.stride, out.stride,  1.0f};
  multiply_split(context, shape, w, 0, split_x, 0, has_bias ? 1.0f : 0.0f, out.data);
}

void accumulate_hessian(DeviceContext& context, ConstMatrixView x, float scale,
                        MatrixView hessian) {
  const SplitMatrix split_x = context.split(x, context.pieces());
  const std::int64_t size = hessian.rows;
  const std::int64_t tile = std::min(kHessianTile, size);
  DeviceBuffer<float> diagonal(context.memory(), tile * tile);
  const auto product = [&](std::int64_t i, std::int64_t rows, std::int64_t j, std::int64_t cols,
                           float beta, float* out, std::int64_t stride) {
    const HalfProduct shape{CUBLAS_OP_N,    CUBLAS_OP_T,    cols,   rows, x.rows,
                            split_x.stride, split_x.stride, stride, scale};
    multiply_split(context, shape, split_x, j, split_x, i, beta, out);
  };
  for (std::int64_t i = 0; i < size; i += tile) {
    const std::int64_t rows = std::min(tile, size - i);
    // The tile on the diagonal by way of a buffer, because below the diagonal nothing is written.
    product(i, rows, i, rows, 0.0f, diagonal.get(), rows);
    launch_add_upper({diagonal.get(), rows, rows, rows},
                     {hessian.row(i) + i, rows, rows, hessian.stride}, context.stream().get());
    const std::int64_t right = i + rows;
    if (right < size) {
      product(i, rows, right, size - right, 1.0f, hessian.row(i) + right, hessian.stride);
    }
  }
}

void multiply(DeviceContext& context, ConstMatrixView a, ConstMatrixView b, MatrixView out) {
  const float one = 1.0f;
  const float zero = 0.0f;
  SHARDQUANT_CUBLAS_TRY(cublasSgemm_64(context.blas(), CUBLAS_OP_N, CUBLAS_OP_N, out.cols, out.rows,
                                       a.cols, &one, b.data, b.stride, a.data, a.stride, &zero,
                                       out.data, out.stride));
}

void multiply_transposed(DeviceContext& context, ConstMatrixView a, ConstMatrixView b, float beta,
                         MatrixView out, const Batch& batch) {
  const float one = 1.0f;
  SHARDQUANT_CUBLAS_TRY(cublasSgemmStridedBatched_64(
      context.blas(), CUBLAS_OP_N, CUBLAS_OP_T, out.cols, out.rows, a.rows, &one, b.data, b.stride,
      batch.b_stride, a.data, a.stride, batch.a_stride, &beta, out.data, out.stride,
      batch.out_stride, batch.count));
}

}  // namespace shardquant::kernels::cuda
