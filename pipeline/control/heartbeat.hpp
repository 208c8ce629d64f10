#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace shardquant::control {

/// What a rank lets the others know of itself, in a small file of a folder that all see.
struct Heartbeat {
  std::int64_t beat = 0;      ///< counts up as long as the process runs
  std::int64_t progress = 0;  ///< counts up as long as its work moves
  std::int64_t calls = 0;     ///< calls of the communicator begun
  bool waiting = false;       ///< inside one of them, for other ranks
  std::string call;           ///< its name
  std::string host;
  std::int64_t pid = 0;
};

/// FOLDER/rank-00012
std::filesystem::path heartbeat_path(const std::filesystem::path& folder, int rank);

/// Writes the file in place, without flushing it. False where that fails: a full disk must not end
/// a run by this way.
bool write_heartbeat(const std::filesystem::path& path, const Heartbeat& heartbeat);

/// Empty where there is no such file or it is being written.
std::optional<Heartbeat> read_heartbeat(const std::filesystem::path& path);

}  // namespace shardquant::control
