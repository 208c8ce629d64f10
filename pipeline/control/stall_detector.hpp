#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/control/heartbeat.hpp"

namespace shardquant::control {

/// Finds out from heartbeats, read over and over, whether a rank holds up the others. Knows no
/// files and no clock: a pure state machine.
class StallDetector {
 public:
  StallDetector(int ranks, double timeout_s);

  /// Takes the heartbeat of a rank as seen at `now` (seconds, own clock); none: not there.
  void see(int rank, const std::optional<Heartbeat>& heartbeat, double now);

  /// Whether the rank's process runs: its beat went up within the timeout.
  bool is_alive(int rank, double now) const;

  /// What is wrong, naming the rank that was late first: one whose process shows no life, one that
  /// works without moving, or, where all wait for each other, the one that made the fewest calls.
  /// Empty where all is well.
  std::string complaint(double now) const;

 private:
  struct Rank {
    bool looked_for = false;
    std::optional<Heartbeat> last;
    double beat_at = 0.0;   // when `beat` last went up, or it was first looked for
    double moved_at = 0.0;  // when it last moved
  };

  double timeout_s_;
  std::vector<Rank> ranks_;
};

}  // namespace shardquant::control
