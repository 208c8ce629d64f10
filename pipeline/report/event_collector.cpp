#include "pipeline/report/event_collector.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/failure.hpp"

namespace shardquant::report {

namespace {

constexpr double kPauseSeconds = 0.5;
constexpr double kRanksPerSecond =
    200.0;  // looked at, at most: a file system has other things to do

}  // namespace

std::filesystem::path rank_event_log(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("rank-{:05}.jsonl", rank);
}

EventCollector::EventCollector(EventLog& log, std::filesystem::path folder, int ranks)
    : log_(log), folder_(std::move(folder)) {
  const double pause = std::max(kPauseSeconds, ranks / kRanksPerSecond);
  // Signals are for the main thread, whose calls they may interrupt.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, pause] { run(pause); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

EventCollector::~EventCollector() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void EventCollector::run(double pause_s) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::duration<double>(pause_s), [this] { return ends_; })) {
    try {
      collect();
    } catch (const Failure&) {  // the main thread meets it at its next event
      return;
    }
  }
}

void EventCollector::collect() {
  const std::lock_guard lock(collecting_);
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".jsonl") files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) take_lines(file);
}

// Opened anew every time: a network file system then shows what others have written.
void EventCollector::take_lines(const std::filesystem::path& file) {
  std::int64_t& taken = taken_[file];
  std::error_code error;
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(file, error));
  if (error || bytes <= taken) return;
  std::ifstream stream(file, std::ios::binary);
  stream.seekg(taken);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos;
       at = end + 1) {
    log_.take_over(std::string_view(text).substr(at, end - at));
    taken += static_cast<std::int64_t>(end + 1 - at);
  }
}

}  // namespace shardquant::report
