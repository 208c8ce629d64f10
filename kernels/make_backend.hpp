#pragma once

#include <memory>
#include <string>

#include "kernels/api/backend.hpp"

namespace shardquant::kernels {

enum class DeviceKind { automatic, cpu, cuda };

/// The back end for this rank. `automatic` takes a CUDA device where this build and machine have
/// one. threads: host threads of the CPU back end, at least 1. reason: one line, why this back end.
/// local_rank: place of this rank among those of its machine; ranks take its devices in turn.
/// The CUDA back end is the library libshardquant_cuda.so, beside the program or where an
/// installation has it; the environment variable SHARDQUANT_CUDA_MODULE names another file.
/// @throws BackendUnavailable for `cuda` where it is not built or no device is usable
std::unique_ptr<Backend> make_backend(DeviceKind kind, int threads, std::string& reason,
                                      int local_rank = 0);

/// The BLAS of the CPU back end, as OpenBLAS describes itself.
std::string blas_library();

/// The CUDA library's file and the architectures it was built for, or why there is none. Loads
/// nothing.
std::string cuda_module();

/// Whether make_backend has loaded the CUDA library, usable or not: it takes host memory.
bool cuda_module_is_loaded();

}  // namespace shardquant::kernels
