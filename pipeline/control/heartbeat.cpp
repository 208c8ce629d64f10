#include "pipeline/control/heartbeat.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <sstream>

#include "pipeline/failure.hpp"

namespace shardquant::control {

namespace {

constexpr std::size_t kRecordBytes = 256;  // less than a page: read and written in one piece
constexpr const char* kEnd = "end";

}  // namespace

std::filesystem::path heartbeat_path(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("rank-{:05}", rank);
}

bool write_heartbeat(const std::filesystem::path& path, const Heartbeat& heartbeat) {
  std::string record = fmt::format("{} {} {} {} {} {} {} {}", heartbeat.beat, heartbeat.progress,
                                   heartbeat.calls, heartbeat.waiting ? 1 : 0, heartbeat.call,
                                   heartbeat.host.substr(0, 64), heartbeat.pid, kEnd);
  record.resize(kRecordBytes - 1, ' ');
  record += '\n';
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) return false;
  const bool written =
      ::pwrite(file, record.data(), record.size(), 0) == static_cast<ssize_t>(record.size());
  return ::close(file) == 0 && written;
}

std::optional<Heartbeat> read_heartbeat(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::string record(kRecordBytes, '\0');
  const ssize_t count = ::pread(file, record.data(), record.size(), 0);
  ::close(file);
  if (count != static_cast<ssize_t>(kRecordBytes)) return std::nullopt;
  std::istringstream in(record);
  Heartbeat heartbeat;
  int waiting = 0;
  std::string end;
  in >> heartbeat.beat >> heartbeat.progress >> heartbeat.calls >> waiting >> heartbeat.call >>
      heartbeat.host >> heartbeat.pid >> end;
  if (!in || end != kEnd) return std::nullopt;
  heartbeat.waiting = waiting != 0;
  return heartbeat;
}

}  // namespace shardquant::control
