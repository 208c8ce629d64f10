#include "pipeline/control/stall_detector.hpp"

#include "pipeline/failure.hpp"

namespace shardquant::control {

StallDetector::StallDetector(int ranks, double timeout_s)
    : timeout_s_(timeout_s), ranks_(static_cast<std::size_t>(ranks)) {}

void StallDetector::see(int rank, const std::optional<Heartbeat>& heartbeat, double now) {
  Rank& known = ranks_[static_cast<std::size_t>(rank)];
  if (!known.looked_for) {
    known.looked_for = true;
    known.beat_at = known.moved_at = now;
  }
  if (!heartbeat) return;
  const bool first = !known.last.has_value();
  if (first || heartbeat->beat != known.last->beat) known.beat_at = now;
  if (first || heartbeat->calls != known.last->calls || heartbeat->waiting != known.last->waiting ||
      (!heartbeat->waiting && heartbeat->progress != known.last->progress)) {
    known.moved_at = now;
  }
  known.last = heartbeat;
}

bool StallDetector::is_alive(int rank, double now) const {
  const Rank& known = ranks_[static_cast<std::size_t>(rank)];
  return known.last && now - known.beat_at < timeout_s_;
}

std::string StallDetector::complaint(double now) const {
  const Rank* fewest = nullptr;
  std::size_t fewest_rank = 0;
  bool all_wait = true;
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const Rank& known = ranks_[r];
    if (!known.looked_for) return {};
    const double since = now - known.beat_at;
    if (since >= timeout_s_) {
      return fmt::format(
          "rank {} ({}) shows no life for {:.0f} s: its process is stopped, its node is lost, or "
          "it does not see the work folder",
          r,
          known.last ? fmt::format("{}, process {}", known.last->host, known.last->pid) : "never",
          since);
    }
    if (!known.last) return {};
    const bool stuck = now - known.moved_at >= timeout_s_;
    if (stuck && !known.last->waiting) {
      return fmt::format("rank {} ({}, process {}) has not moved for {:.0f} s after its {}", r,
                         known.last->host, known.last->pid, now - known.moved_at, known.last->call);
    }
    all_wait = all_wait && stuck;
    if (fewest == nullptr || known.last->calls < fewest->last->calls) {
      fewest = &known;
      fewest_rank = r;
    }
  }
  if (!all_wait || fewest == nullptr) return {};
  return fmt::format(
      "all ranks wait for each other for {:.0f} s, rank {} ({}) in call {} ({}): the network is at "
      "fault",
      timeout_s_, fewest_rank, fewest->last->host, fewest->last->calls, fewest->last->call);
}

}  // namespace shardquant::control
