#pragma once

#include <cstdint>
#include <vector>

namespace shardquant::solver {

/// One way to serve a group.
struct Choice {
  std::int64_t bits = 0;  ///< cost, not negative
  double loss = 0.0;      ///< finite; may be negative
};

/// Take exactly one choice per group so that the bits sum to at most `budget_bits` and the losses
/// sum to the least (multiple-choice knapsack problem).
struct ChoiceProblem {
  std::vector<std::vector<Choice>> groups;
  std::int64_t budget_bits = 0;
};

}  // namespace shardquant::solver
