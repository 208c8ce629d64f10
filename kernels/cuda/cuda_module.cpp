#include "kernels/cuda/cuda_module.hpp"

#include <cuda_runtime.h>

#include <cstdio>

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/nccl_transport.hpp"

namespace shardquant::kernels::cuda {

namespace {

// Any error means the same here: no driver, a stub of one, too old a one, no device.
int count_devices(char* reason, std::int64_t reason_size) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  std::snprintf(reason, static_cast<std::size_t>(reason_size), "no CUDA device (%s)",
                status == cudaSuccess ? "none visible" : cudaGetErrorString(status));
  return 0;
}

Backend* make_backend(int device) {
  return new CudaBackend(device);
}

bool transport_id(TransportId& id, char* reason, std::int64_t reason_size) {
  std::string text;
  const bool made = make_transport_id(id, text);
  std::snprintf(reason, static_cast<std::size_t>(reason_size), "%s", text.c_str());
  return made;
}

DeviceTransport* transport(Backend& backend, int rank, int size, const TransportId& id) {
  return make_transport(static_cast<CudaBackend&>(backend).context(), rank, size, id).release();
}

constexpr CudaModule kModule{kCudaInterfaceVersion, count_devices, make_backend, transport_id,
                             transport};

}  // namespace

}  // namespace shardquant::kernels::cuda

const shardquant::kernels::cuda::CudaModule* shardquant_cuda_module() {
  return &shardquant::kernels::cuda::kModule;
}
