#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// How evenly a stage's work fell to the ranks, and how well its cost was foretold.
class Balance {
 public:
  Balance() = default;
  Balance(std::string stage, int ranks);

  /// An item that a rank worked off. cost: as predicted, in any unit.
  void add(int rank, double seconds, double cost);

  const std::string& stage() const { return stage_; }
  std::int64_t items() const { return static_cast<std::int64_t>(seconds_.size()); }
  /// Mean over largest of the ranks' seconds; 1 where there are none.
  double measured() const;
  /// The same of the ranks' predicted costs.
  double predicted() const;
  /// Seconds by which items differ from their share by cost, over all seconds.
  double error() const;
  /// "measure: 0.974 (mean over largest of 4 ranks; 0.981 predicted), 84 items, ..."
  std::string text() const;

 private:
  std::string stage_;
  std::vector<double> rank_seconds_, rank_costs_;  // by rank
  std::vector<double> seconds_, costs_;            // by item
};

/// Writes the balance to events.jsonl where it has items; on root.
void report_balance(const waves::Ranks& ranks, const Balance& balance);

}  // namespace shardquant::stages
