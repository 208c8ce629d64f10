#pragma once

#include "kernels/api/kernel_error.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::commands {

/// Runs `work`; what the device cannot do is no fault of this program and becomes
/// Failure(unavailable).
template <class Work>
void with_device_faults(int rank, Work work) {
  try {
    work();
  } catch (const kernels::DeviceError& error) {
    fail(ExitCode::unavailable, "rank {}: {}", rank, error.what());
  } catch (const kernels::DeviceOutOfMemory& error) {
    fail(ExitCode::unavailable, "rank {}: {}; use a device with more memory", rank, error.what());
  }
}

}  // namespace shardquant::commands
