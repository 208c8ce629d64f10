#pragma once

#include <cstdint>

#include "kernels/api/backend.hpp"
#include "kernels/api/device_transport.hpp"

namespace shardquant::kernels::cuda {

/// What the module library offers to the program that loads it; it exports one C function,
/// `shardquant_cuda_module`, that returns this. No type of CUDA's appears here.
struct CudaModule {
  /// Changes with every change of this struct or of kernels/api, so that a module of another build
  /// is refused instead of crashing.
  std::int64_t interface_version;
  /// Devices usable by this process. 0: none, and `reason` (of `reason_size` bytes) says why.
  int (*count_devices)(char* reason, std::int64_t reason_size);
  /// A back end on device `device`, to be deleted by the caller. @throws DeviceError
  Backend* (*make_backend)(int device);
  /// Whether ranks can be connected device to device; if not, `reason` says why.
  bool (*make_transport_id)(TransportId& id, char* reason, std::int64_t reason_size);
  /// backend: of make_backend. To be deleted by the caller. @throws DeviceError
  DeviceTransport* (*make_transport)(Backend& backend, int rank, int size, const TransportId& id);
};

constexpr std::int64_t kCudaInterfaceVersion = 1;
constexpr const char* kCudaModuleSymbol = "shardquant_cuda_module";

}  // namespace shardquant::kernels::cuda

extern "C" const shardquant::kernels::cuda::CudaModule* shardquant_cuda_module();
