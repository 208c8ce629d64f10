#pragma once

#include <ctime>

namespace shardquant::tests {

/// Processor time that `action` takes, as of a build without sanitizers: a limit on it also holds
/// on a busy machine.
template <class Action>
double cpu_seconds(Action action) {
  const std::clock_t start = std::clock();
  action();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / SHARDQUANT_TIME_FACTOR;
}

}  // namespace shardquant::tests
