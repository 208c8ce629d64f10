#include "pipeline/control/watchdog.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <fstream>

#include "pipeline/control/steady_seconds.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::control {

namespace {

std::int64_t clock_microseconds(clockid_t clock) {
  struct timespec time {};
  if (::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "?";
  return name.data();
}

}  // namespace

double Watchdog::period(double timeout_s) {
  return timeout_s > 0.0 ? std::clamp(timeout_s / 10.0, 0.2, 10.0) : 10.0;
}

Watchdog::Watchdog(const comm::Activity& activity, Options options)
    : activity_(activity),
      options_(std::move(options)),
      detector_(options_.ranks, options_.timeout_s),
      io_counters_(fmt::format("/proc/self/task/{}/io", ::syscall(SYS_gettid))) {
  own_.host = host_name();
  own_.pid = ::getpid();
  // Signals are for the main thread, whose calls they may interrupt.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  wake_.notify_all();
  thread_.join();
  std::error_code ignored;
  std::filesystem::remove(heartbeat_path(options_.folder, options_.rank), ignored);
}

void Watchdog::run() {
  const auto pause = std::chrono::duration<double>(period(options_.timeout_s));
  std::unique_lock lock(mutex_);
  while (!ends_) {
    lock.unlock();
    beat();
    lock.lock();
    wake_.wait_for(lock, pause, [this] { return ends_; });
  }
}

// Processor time of all threads but this one, in microseconds, and bytes read and written by the
// main thread: one sum is enough, since both only grow.
std::int64_t Watchdog::work_done() const {
  std::int64_t work =
      clock_microseconds(CLOCK_PROCESS_CPUTIME_ID) - clock_microseconds(CLOCK_THREAD_CPUTIME_ID);
  std::ifstream counters(io_counters_);
  std::string name;
  std::int64_t value = 0;
  while (counters >> name >> value) {
    if (name == "rchar:" || name == "wchar:") work += value;
  }
  return work;
}

void Watchdog::beat() {
  own_.beat += 1;
  own_.calls = activity_.calls;
  own_.waiting = activity_.waiting;
  own_.call = activity_.call.load();
  // What libraries' own threads use is less than this hundredth of a second.
  constexpr std::int64_t kLeast = 10'000;
  const std::int64_t work = work_done();
  if (work - work_seen_ >= kLeast) {
    own_.progress += 1;
    work_seen_ = work;
  }
  write_heartbeat(heartbeat_path(options_.folder, options_.rank), own_);
  std::string complaint = options_.on_beat ? options_.on_beat() : "";
  if (complaint.empty() && options_.timeout_s > 0.0) complaint = judge(steady_seconds());
  if (!complaint.empty()) options_.on_stall(complaint);
}

// Only the lowest living rank judges, so that a stall is told once and a large job does not read
// all heartbeats on every rank.
std::string Watchdog::judge(double now) {
  for (int rank = 0; rank < options_.rank; ++rank) {
    detector_.see(rank, read_heartbeat(heartbeat_path(options_.folder, rank)), now);
    if (detector_.is_alive(rank, now)) return {};
  }
  for (int rank = options_.rank; rank < options_.ranks; ++rank) {
    detector_.see(rank, read_heartbeat(heartbeat_path(options_.folder, rank)), now);
  }
  return detector_.complaint(now);
}

}  // namespace shardquant::control
