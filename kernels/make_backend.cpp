#include "kernels/make_backend.hpp"

#include "kernels/api/kernel_error.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace shardquant::kernels {

std::unique_ptr<Backend> make_backend(DeviceKind kind, int threads, std::string& reason) {
  if (kind == DeviceKind::cuda) {
    throw BackendUnavailable("device.kind is cuda, but this build has no CUDA back end");
  }
  reason = kind == DeviceKind::cpu ? "asked for" : "this build has no CUDA back end";
  return std::make_unique<CpuBackend>(threads);
}

}  // namespace shardquant::kernels
