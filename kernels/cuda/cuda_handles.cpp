#include "kernels/cuda/cuda_handles.hpp"

#include "kernels/cuda/cuda_check.hpp"

namespace shardquant::kernels::cuda {

Stream::Stream() {
  SHARDQUANT_CUDA_TRY(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

Stream::~Stream() {
  SHARDQUANT_CUDA_LOG(cudaStreamDestroy(stream_));
}

void Stream::synchronize() const {
  SHARDQUANT_CUDA_TRY(cudaStreamSynchronize(stream_));
}

Event::Event() {
  SHARDQUANT_CUDA_TRY(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming));
}

Event::~Event() {
  SHARDQUANT_CUDA_LOG(cudaEventDestroy(event_));
}

void Event::record(const Stream& stream) {
  SHARDQUANT_CUDA_TRY(cudaEventRecord(event_, stream.get()));
}

void Event::wait() const {
  SHARDQUANT_CUDA_TRY(cudaEventSynchronize(event_));
}

bool Event::is_done() const {
  const cudaError_t status = cudaEventQuery(event_);
  if (status == cudaErrorNotReady) return false;
  SHARDQUANT_CUDA_TRY(status);
  return true;
}

CublasHandle::CublasHandle(const Stream& stream) {
  SHARDQUANT_CUBLAS_TRY(cublasCreate(&handle_));
  SHARDQUANT_CUBLAS_TRY(cublasSetStream(handle_, stream.get()));
}

CublasHandle::~CublasHandle() {
  cublasDestroy(handle_);
}

CusolverHandle::CusolverHandle(const Stream& stream) {
  SHARDQUANT_CUSOLVER_TRY(cusolverDnCreate(&handle_));
  SHARDQUANT_CUSOLVER_TRY(cusolverDnSetStream(handle_, stream.get()));
  SHARDQUANT_CUSOLVER_TRY(cusolverDnCreateParams(&params_));
}

CusolverHandle::~CusolverHandle() {
  cusolverDnDestroyParams(params_);
  cusolverDnDestroy(handle_);
}

}  // namespace shardquant::kernels::cuda
