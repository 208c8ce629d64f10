#pragma once

#include <functional>
#include <optional>
#include <string>

namespace shardquant::control {

/// Looks up an environment variable; null where it is not set.
using EnvironmentLookup = std::function<const char*(const char*)>;

/// Seconds that a run may take from now on, from `--max-time`: "auto" (until SLURM_JOB_END_TIME
/// where Slurm tells it), "none", seconds, or [HH:]MM:SS. No value: no limit.
/// now: seconds since 1970. @throws Failure(usage) for anything else
std::optional<double> read_time_limit(const std::string& text, double now,
                                      const EnvironmentLookup& lookup);

/// Whether it is time to leave: what is left is not enough for one more layer, one checkpoint and a
/// reserve of 60 s (a tenth of short limits). All in seconds; `elapsed` of `limit`.
bool is_time_to_leave(double elapsed, double limit, double longest_layer, double last_checkpoint);

}  // namespace shardquant::control
