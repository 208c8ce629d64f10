#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "pipeline/report/events.hpp"

namespace shardquant::report {

/// Rank 0's: takes over into its event log what the other ranks write into logs of their own, one
/// file each in one folder, within a second, from a thread of its own.
class EventCollector {
 public:
  /// `log` must outlive it. ranks: of the job; the more, the longer the pause between two looks.
  EventCollector(EventLog& log, std::filesystem::path folder, int ranks);
  ~EventCollector();
  EventCollector(const EventCollector&) = delete;
  EventCollector& operator=(const EventCollector&) = delete;

  /// Takes over what is there by now. Safe to use from several threads.
  /// @throws Failure(io_error) as EventLog::write
  void collect();

 private:
  void run(double pause_s);
  void take_lines(const std::filesystem::path& file);

  EventLog& log_;
  const std::filesystem::path folder_;
  std::mutex collecting_;
  std::map<std::filesystem::path, std::int64_t> taken_;  // bytes of each file
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;
  std::thread thread_;
};

/// The file of a rank in that folder.
std::filesystem::path rank_event_log(const std::filesystem::path& folder, int rank);

}  // namespace shardquant::report
