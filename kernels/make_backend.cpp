#include "kernels/make_backend.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cuda/cuda_module.hpp"
#include "kernels/make_transport.hpp"

namespace shardquant::kernels {

namespace {

std::filesystem::path module_file() {
  if (const char* named = std::getenv("SHARDQUANT_CUDA_MODULE")) return named;
  std::error_code error;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  const auto beside = folder / "libshardquant_cuda.so";
  // Relative to the program, so that an installation can be moved.
  const auto installed =
      (folder / SHARDQUANT_INSTALLED_MODULES / "libshardquant_cuda.so").lexically_normal();
  return std::filesystem::exists(installed, error) && !std::filesystem::exists(beside, error)
             ? installed
             : beside;
}

bool module_loaded = false;

// The module stays loaded: CUDA's own libraries do not take being unloaded well.
const cuda::CudaModule& load_module() {
  const std::filesystem::path file = module_file();
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    throw BackendUnavailable("no CUDA back end beside the program: " + file.string() +
                             " does not exist");
  }
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw BackendUnavailable(std::string("CUDA back end cannot be loaded: ") + dlerror());
  }
  module_loaded = true;
  const auto entry =
      reinterpret_cast<decltype(&shardquant_cuda_module)>(dlsym(library, cuda::kCudaModuleSymbol));
  if (entry == nullptr || entry()->interface_version != cuda::kCudaInterfaceVersion) {
    throw BackendUnavailable(file.string() + " belongs to another version of this program");
  }
  return *entry();
}

std::unique_ptr<Backend> make_cuda_backend(int local_rank) {
  const cuda::CudaModule& loaded = load_module();
  std::array<char, 256> reason{};
  const int devices = loaded.count_devices(reason.data(), reason.size());
  if (devices == 0) throw BackendUnavailable(reason.data());
  try {
    return std::unique_ptr<Backend>(loaded.make_backend(local_rank % devices));
  } catch (const DeviceError& error) {
    throw BackendUnavailable(std::string("CUDA device cannot be used: ") + error.what());
  }
}

}  // namespace

std::unique_ptr<Backend> make_backend(DeviceKind kind, int threads, std::string& reason,
                                      int local_rank) {
  reason = "asked for";
  if (kind == DeviceKind::cuda) {
    try {
      return make_cuda_backend(local_rank);
    } catch (const BackendUnavailable& error) {
      throw BackendUnavailable(std::string("device.kind is cuda, but: ") + error.what());
    }
  }
  if (kind == DeviceKind::automatic) {
    try {
      auto backend = make_cuda_backend(local_rank);
      reason = "device.kind is auto";
      return backend;
    } catch (const BackendUnavailable& error) {
      reason = error.what();
    }
  }
  return std::make_unique<CpuBackend>(threads);
}

std::string blas_library() {
  return cpu_blas_library();
}

std::string cuda_module() {
  const std::filesystem::path file = module_file();
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return "none: " + file.string() + " does not exist";
  return file.string() + ", " + SHARDQUANT_CUDA_BUILD;
}

bool cuda_module_is_loaded() {
  return module_loaded;
}

bool make_transport_id(TransportId& id, std::string& reason) {
  std::array<char, 256> text{};
  const bool made = load_module().make_transport_id(id, text.data(), text.size());
  reason = text.data();
  return made;
}

std::unique_ptr<DeviceTransport> make_transport(Backend& backend, int rank, int size,
                                                const TransportId& id) {
  return std::unique_ptr<DeviceTransport>(load_module().make_transport(backend, rank, size, id));
}

}  // namespace shardquant::kernels
