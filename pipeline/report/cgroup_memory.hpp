#pragma once

#include <cstdint>
#include <filesystem>

namespace shardquant::report {

/// Where the system tells of control groups.
struct CgroupFiles {
  std::filesystem::path own = "/proc/self/cgroup";  ///< the groups of this process
  std::filesystem::path mount = "/sys/fs/cgroup";
};

/// Bytes that the control groups of this process (of a container, or a job of Slurm) may still
/// take, of both versions: the least that a group or one above it has left, with what it could drop
/// of its file cache. -1 where no group has a limit. Kernel documentation: cgroup-v2 (memory.max),
/// cgroup-v1/memory (memory.limit_in_bytes).
std::int64_t cgroup_available_bytes(const CgroupFiles& files = {});

}  // namespace shardquant::report
