// Matrix-vector products in double with fp32 matrices of which only one triangle counts: what
// factor_hessian.cpp probes a factor with.
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kThreads = 256;

// Row i of the symmetric matrix whose strict upper triangle is that of h.
struct SymmetricRow {
  ConstMatrixView h;
  const float* diagonal;
  float damp;

  __device__ std::int64_t begin(std::int64_t) const { return 0; }
  __device__ std::int64_t end(std::int64_t) const { return h.cols; }
  __device__ float operator()(std::int64_t i, std::int64_t j) const {
    if (i == j) return diagonal[i] + damp;
    return i < j ? h.row(i)[j] : h.row(j)[i];
  }
};

// Row i of L^T, L the lower triangle of h.
struct TransposedFactorRow {
  ConstMatrixView h;

  __device__ std::int64_t begin(std::int64_t i) const { return i; }
  __device__ std::int64_t end(std::int64_t) const { return h.rows; }
  __device__ float operator()(std::int64_t i, std::int64_t j) const { return h.row(j)[i]; }
};

// Row i of L.
struct FactorRow {
  ConstMatrixView h;

  __device__ std::int64_t begin(std::int64_t) const { return 0; }
  __device__ std::int64_t end(std::int64_t i) const { return i + 1; }
  __device__ float operator()(std::int64_t i, std::int64_t j) const { return h.row(i)[j]; }
};

// A block per row, its sum in an order that the shape alone fixes.
template <class Row>
__global__ void row_products_kernel(Row row, std::int64_t rows, const double* x, double* product) {
  double* scratch = shared_memory<double>();
  for (std::int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
    double sum = 0.0;
    for (std::int64_t j = row.begin(i) + threadIdx.x; j < row.end(i); j += blockDim.x) {
      sum += static_cast<double>(row(i, j)) * x[j];
    }
    sum = block_reduce(sum, Sum{}, scratch);
    if (threadIdx.x == 0) product[i] = sum;
  }
}

template <class Row>
void launch_row_products(const Row& row, const double* x, double* product, cudaStream_t stream) {
  const std::int64_t rows = row.h.rows;
  if (rows == 0) return;
  launch(stream, blocks_for_loop(rows, 1), kThreads, kThreads / kWarp * sizeof(double),
         row_products_kernel<Row>, row, rows, x, product);
}

}  // namespace

void launch_symmetric_product(ConstMatrixView h, const float* diagonal, float damp, const double* x,
                              double* product, cudaStream_t stream) {
  launch_row_products(SymmetricRow{h, diagonal, damp}, x, product, stream);
}

void launch_factor_product(ConstMatrixView h, const double* x, double* inner, double* product,
                           cudaStream_t stream) {
  launch_row_products(TransposedFactorRow{h}, x, inner, stream);
  launch_row_products(FactorRow{h}, inner, product, stream);
}

}  // namespace shardquant::kernels::cuda
