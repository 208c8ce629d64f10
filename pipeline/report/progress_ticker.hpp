#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "pipeline/report/progress.hpp"

namespace shardquant::report {

/// Looks at a phase every half second from a thread of its own, so that what is due of its progress
/// is written also while one item takes long. Ends before the progress does.
class ProgressTicker {
 public:
  explicit ProgressTicker(Progress& progress);
  ~ProgressTicker();
  ProgressTicker(const ProgressTicker&) = delete;
  ProgressTicker& operator=(const ProgressTicker&) = delete;

 private:
  void run();

  Progress& progress_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace shardquant::report
