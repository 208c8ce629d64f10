#include "kernels/cuda/cuda_check.hpp"

#include <cstdio>
#include <string>

#include "kernels/api/kernel_error.hpp"

namespace shardquant::kernels::cuda {

namespace {

[[noreturn]] void throw_error(const std::string& text, const char* call, const char* file,
                              int line) {
  throw DeviceError(text + " in " + call + " (" + file + ":" + std::to_string(line) + ")");
}

}  // namespace

void throw_cuda_error(cudaError_t status, const char* call, const char* file, int line) {
  throw_error(std::string("CUDA: ") + cudaGetErrorName(status) + ": " + cudaGetErrorString(status),
              call, file, line);
}

void throw_cublas_error(cublasStatus_t status, const char* call, const char* file, int line) {
  throw_error(std::string("cuBLAS: ") + cublasGetStatusString(status), call, file, line);
}

void throw_cusolver_error(cusolverStatus_t status, const char* call, const char* file, int line) {
  throw_error("cuSOLVER: status " + std::to_string(static_cast<int>(status)), call, file, line);
}

void log_cuda_error(cudaError_t status, const char* call) noexcept {
  std::fprintf(stderr, "CUDA: %s in %s\n", cudaGetErrorName(status), call);
}

}  // namespace shardquant::kernels::cuda
