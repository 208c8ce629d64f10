#include "pipeline/report/progress_ticker.hpp"

#include <signal.h>

#include <chrono>

#include "pipeline/failure.hpp"

namespace shardquant::report {

ProgressTicker::ProgressTicker(Progress& progress) : progress_(progress) {
  // Signals are for the main thread, whose calls they may interrupt.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ProgressTicker::~ProgressTicker() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void ProgressTicker::run() {
  constexpr auto kPause = std::chrono::milliseconds(500);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kPause, [this] { return ends_; })) {
    try {
      progress_.tick();
    } catch (const Failure&) {  // of events.jsonl: the main thread meets it at its next event
      return;
    }
  }
}

}  // namespace shardquant::report
