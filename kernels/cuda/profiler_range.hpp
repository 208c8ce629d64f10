#pragma once

#include <nvtx3/nvToolsExt.h>

namespace shardquant::kernels::cuda {

/// Names what this scope queues in NVIDIA's profilers; costs nothing where none listens.
class ProfilerRange {
 public:
  explicit ProfilerRange(const char* name) { nvtxRangePushA(name); }
  ~ProfilerRange() { nvtxRangePop(); }
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;
};

}  // namespace shardquant::kernels::cuda
