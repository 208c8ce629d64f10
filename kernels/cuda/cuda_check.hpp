#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

namespace shardquant::kernels::cuda {

/// Throws DeviceError naming the call, its place and the library's own text. @pre status is an
/// error
[[noreturn]] void throw_cuda_error(cudaError_t status, const char* call, const char* file,
                                   int line);
[[noreturn]] void throw_cublas_error(cublasStatus_t status, const char* call, const char* file,
                                     int line);
[[noreturn]] void throw_cusolver_error(cusolverStatus_t status, const char* call, const char* file,
                                       int line);

/// For destructors: writes the same text to standard error and goes on.
void log_cuda_error(cudaError_t status, const char* call) noexcept;

}  // namespace shardquant::kernels::cuda

/// Runs a call of the CUDA runtime. @throws DeviceError
#define SHARDQUANT_CUDA_TRY(call)                                                                  \
  do {                                                                                             \
    const cudaError_t shardquant_status = (call);                                                  \
    if (shardquant_status != cudaSuccess) {                                                        \
      ::shardquant::kernels::cuda::throw_cuda_error(shardquant_status, #call, __FILE__, __LINE__); \
    }                                                                                              \
  } while (false)

#define SHARDQUANT_CUBLAS_TRY(call)                                                       \
  do {                                                                                    \
    const cublasStatus_t shardquant_status = (call);                                      \
    if (shardquant_status != CUBLAS_STATUS_SUCCESS) {                                     \
      ::shardquant::kernels::cuda::throw_cublas_error(shardquant_status, #call, __FILE__, \
                                                      __LINE__);                          \
    }                                                                                     \
  } while (false)

#define SHARDQUANT_CUSOLVER_TRY(call)                                                       \
  do {                                                                                      \
    const cusolverStatus_t shardquant_status = (call);                                      \
    if (shardquant_status != CUSOLVER_STATUS_SUCCESS) {                                     \
      ::shardquant::kernels::cuda::throw_cusolver_error(shardquant_status, #call, __FILE__, \
                                                        __LINE__);                          \
    }                                                                                       \
  } while (false)

/// For destructors: an error is written to standard error.
#define SHARDQUANT_CUDA_LOG(call)                                            \
  do {                                                                       \
    const cudaError_t shardquant_status = (call);                            \
    if (shardquant_status != cudaSuccess) {                                  \
      ::shardquant::kernels::cuda::log_cuda_error(shardquant_status, #call); \
    }                                                                        \
  } while (false)
