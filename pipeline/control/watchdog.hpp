#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "pipeline/comm/activity.hpp"
#include "pipeline/control/heartbeat.hpp"
#include "pipeline/control/stall_detector.hpp"

namespace shardquant::control {

/// A thread of every rank that writes its heartbeat and reads those of the others; where a rank
/// holds up the rest for longer than the timeout, the lowest rank that lives says which and ends
/// the job. Work counts as moving where it uses processor time or reads and writes, so a slow disk
/// is no stall.
class Watchdog {
 public:
  struct Options {
    std::filesystem::path folder;  ///< of the heartbeats; exists
    int rank = 0, ranks = 1;
    double timeout_s = 300.0;  ///< 0: nobody is watched, `on_beat` is called all the same
    /// Called at every beat. Returns a complaint that ends the job, or an empty text.
    std::function<std::string()> on_beat;
    /// Ends the job; does not return.
    std::function<void(const std::string&)> on_stall;
  };

  /// activity: of this rank's main thread, which must be the calling one; outlives the watchdog.
  Watchdog(const comm::Activity& activity, Options options);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Seconds between two beats.
  static double period(double timeout_s);

 private:
  void run();
  void beat();
  std::string judge(double now);
  std::int64_t work_done() const;

  const comm::Activity& activity_;
  Options options_;
  StallDetector detector_;
  Heartbeat own_;
  std::int64_t work_seen_ = 0;
  std::filesystem::path io_counters_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace shardquant::control
