#pragma once

#include <cstdint>

#include "kernels/api/backend.hpp"
#include "kernels/api/device_transport.hpp"

namespace shardquant::kernels::cuda {

/// What the module library offers to the program that loads it; it exports one C function,
/// `shardquant_cuda_module`, that returns this. No type of CUDA's appears here.
struct CudaModule {
  /// kCudaInterfaceVersion of the module's build, to be looked at before anything else: where it
  /// is another one, so may be the rest.
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

/// A hash of this file and of kernels/api, by kernels/CMakeLists.txt.
constexpr std::int64_t kCudaInterfaceVersion = SHARDQUANT_KERNELS_INTERFACE;
constexpr const char* kCudaModuleSymbol = "shardquant_cuda_module";

}  // namespace shardquant::kernels::cuda

extern "C" const shardquant::kernels::cuda::CudaModule* shardquant_cuda_module();
