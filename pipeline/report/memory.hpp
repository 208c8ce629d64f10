#pragma once

#include <cstdint>
#include <string>

namespace shardquant::report {

/// Bytes of this process in memory now (VmRSS of /proc/self/status); 0 where the system hides it.
std::int64_t resident_bytes();

/// Most bytes that this process had in memory since its start or the last reset (VmHWM, else
/// getrusage); 0 where the system hides it.
std::int64_t peak_resident_bytes();

/// Makes the peak the present value, so that the next phase has its own. False where the system
/// does not allow it; then the peak goes on counting from the start.
bool reset_peak_resident();

/// Bytes that programs may still take on this machine without swapping (MemAvailable of
/// /proc/meminfo); 0 where the system hides it. Limits of a container or a job:
/// cgroup_memory.hpp.
std::int64_t available_host_bytes();

/// "1.52 GiB", "512 B": three digits and a binary unit.
std::string bytes_text(std::int64_t bytes);

}  // namespace shardquant::report
