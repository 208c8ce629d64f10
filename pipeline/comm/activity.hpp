#pragma once

#include <atomic>
#include <cstdint>

namespace shardquant::comm {

/// What the main thread of a rank is doing, for a watchdog in another thread.
struct Activity {
  std::atomic<std::int64_t> calls = 0;     ///< calls of the communicator begun
  std::atomic<bool> waiting = false;       ///< inside one of them
  std::atomic<const char*> call = "none";  ///< name of the one begun last
};

}  // namespace shardquant::comm
