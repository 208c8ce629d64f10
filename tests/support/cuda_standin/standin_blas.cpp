// cuBLAS and cuSOLVER by OpenBLAS, column major as they are.
#include <cblas.h>

#include <bit>
#include <vector>

#include "cublas_v2.h"
#include "cusolverDn.h"
#include "standin_check.hpp"

extern "C" {
void spotrf_(const char* uplo, const int* n, float* a, const int* lda, int* info);
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
}

namespace {

CBLAS_TRANSPOSE as_blas(cublasOperation_t op) {
  return op == CUBLAS_OP_N ? CblasNoTrans : CblasTrans;
}

// Reads every element of a matrix under AddressSanitizer, so that one that lies outside memory is
// found: OpenBLAS itself is not instrumented.
template <class T>
void touch(const T* data, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  if (rows == 0 || cols == 0) return;
#if defined(CUDA_STANDIN_ASAN)
  for (std::int64_t j = 0; j < cols; ++j) {
    if (__asan_region_is_poisoned(const_cast<T*>(data + j * stride),
                                  static_cast<std::size_t>(rows) * sizeof(T)) != nullptr) {
      cuda_standin::stop("a matrix of a product lies outside %s", "its memory");
    }
  }
#else
  static_cast<void>(data);
  static_cast<void>(stride);
#endif
}

// [rows, cols] bf16, column major, as floats without gaps.
std::vector<float> widened(const void* data, std::int64_t rows, std::int64_t cols,
                           std::int64_t stride) {
  const auto* halves = static_cast<const std::uint16_t*>(data);
  std::vector<float> out(static_cast<std::size_t>(rows * cols));
  for (std::int64_t j = 0; j < cols; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::uint32_t bits = halves[j * stride + i];
      out[static_cast<std::size_t>(j * rows + i)] = std::bit_cast<float>(bits << 16);
    }
  }
  return out;
}

void multiply(cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m, std::int64_t n,
              std::int64_t k, float alpha, const float* a, std::int64_t lda, const float* b,
              std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  cblas_sgemm(CblasColMajor, as_blas(op_a), as_blas(op_b), static_cast<blasint>(m),
              static_cast<blasint>(n), static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda),
              b, static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
}

}  // namespace

const char* cublasGetStatusString(cublasStatus_t) {
  return "error of the stand-in";
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  openblas_set_num_threads(1);
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                              std::int64_t m, std::int64_t n, std::int64_t k, const float* alpha,
                              const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                              const float* beta, float* c, std::int64_t ldc) {
  return cublasSgemmStridedBatched_64(handle, op_a, op_b, m, n, k, alpha, a, lda, 0, b, ldb, 0,
                                      beta, c, ldc, 0, 1);
}

cublasStatus_t cublasSgemmStridedBatched_64(cublasHandle_t, cublasOperation_t op_a,
                                            cublasOperation_t op_b, std::int64_t m, std::int64_t n,
                                            std::int64_t k, const float* alpha, const float* a,
                                            std::int64_t lda, long long stride_a, const float* b,
                                            std::int64_t ldb, long long stride_b, const float* beta,
                                            float* c, std::int64_t ldc, long long stride_c,
                                            std::int64_t batch) {
  const std::int64_t a_rows = op_a == CUBLAS_OP_N ? m : k;
  const std::int64_t b_rows = op_b == CUBLAS_OP_N ? k : n;
  if (lda < a_rows || ldb < b_rows || ldc < m) return CUBLAS_STATUS_INVALID_VALUE;
  for (std::int64_t i = 0; i < batch; ++i) {
    touch(a + i * stride_a, a_rows, op_a == CUBLAS_OP_N ? k : m, lda);
    touch(b + i * stride_b, b_rows, op_b == CUBLAS_OP_N ? n : k, ldb);
    touch(c + i * stride_c, m, n, ldc);
    multiply(op_a, op_b, m, n, k, *alpha, a + i * stride_a, lda, b + i * stride_b, ldb, *beta,
             c + i * stride_c, ldc);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx_64(cublasHandle_t, cublasOperation_t op_a, cublasOperation_t op_b,
                               std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha,
                               const void* a, cudaDataType_t type_a, std::int64_t lda,
                               const void* b, cudaDataType_t type_b, std::int64_t ldb,
                               const void* beta, void* c, cudaDataType_t type_c, std::int64_t ldc,
                               cublasComputeType_t compute, cublasGemmAlgo_t) {
  const std::int64_t a_rows = op_a == CUBLAS_OP_N ? m : k;
  const std::int64_t b_rows = op_b == CUBLAS_OP_N ? k : n;
  if (type_a != CUDA_R_16BF || type_b != CUDA_R_16BF || type_c != CUDA_R_32F ||
      compute != CUBLAS_COMPUTE_32F || lda < a_rows || ldb < b_rows || ldc < m) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto wide_a = widened(a, a_rows, op_a == CUBLAS_OP_N ? k : m, lda);
  const auto wide_b = widened(b, b_rows, op_b == CUBLAS_OP_N ? n : k, ldb);
  auto* out = static_cast<float*>(c);
  touch(out, m, n, ldc);
  multiply(op_a, op_b, m, n, k, *static_cast<const float*>(alpha), wide_a.data(), a_rows,
           wide_b.data(), b_rows, *static_cast<const float*>(beta), out, ldc);
  return CUBLAS_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  *handle = nullptr;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t) {
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t, cudaStream_t) {
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t* params) {
  *params = nullptr;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t) {
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXpotrf_bufferSize(cusolverDnHandle_t, cusolverDnParams_t,
                                             cublasFillMode_t, std::int64_t, cudaDataType_t,
                                             const void*, std::int64_t, cudaDataType_t,
                                             std::size_t* device_bytes, std::size_t* host_bytes) {
  *device_bytes = 64;
  *host_bytes = 0;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXpotrf(cusolverDnHandle_t, cusolverDnParams_t, cublasFillMode_t uplo,
                                  std::int64_t n, cudaDataType_t type_a, void* a, std::int64_t lda,
                                  cudaDataType_t compute, void*, std::size_t, void*, std::size_t,
                                  int* info) {
  if (type_a != compute || lda < n) return CUSOLVER_STATUS_INVALID_VALUE;
  const char* triangle = uplo == CUBLAS_FILL_MODE_UPPER ? "U" : "L";
  const int size = static_cast<int>(n);
  const int stride = static_cast<int>(lda);
  if (type_a == CUDA_R_32F) {
    touch(static_cast<float*>(a), n, n, lda);
    spotrf_(triangle, &size, static_cast<float*>(a), &stride, info);
  } else if (type_a == CUDA_R_64F) {
    touch(static_cast<double*>(a), n, n, lda);
    dpotrf_(triangle, &size, static_cast<double*>(a), &stride, info);
  } else {
    return CUSOLVER_STATUS_INVALID_VALUE;
  }
  return CUSOLVER_STATUS_SUCCESS;
}
