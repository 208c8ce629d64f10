#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "solver/choice_problem.hpp"

namespace shardquant::tests {

/// The best of all selections, found by looking at every one. Losses are added in the order of the
/// groups, in double.
struct BruteForceChoice {
  std::vector<int> choices;
  double loss = std::numeric_limits<double>::infinity();
};

/// Nothing if no selection is within the budget.
/// @param accept  selections it refuses do not count
inline std::optional<BruteForceChoice> brute_force_choice(
    const solver::ChoiceProblem& problem,
    const std::function<bool(const std::vector<int>&)>& accept = nullptr) {
  BruteForceChoice best;
  std::vector<int> choices(problem.groups.size(), 0);
  while (true) {
    std::int64_t bits = 0;
    double loss = 0.0;
    for (std::size_t g = 0; g < choices.size(); ++g) {
      bits += problem.groups[g][choices[g]].bits;
      loss += problem.groups[g][choices[g]].loss;
    }
    const bool first = best.choices.size() != choices.size();
    if (bits <= problem.budget_bits && (first || loss < best.loss) &&
        (!accept || accept(choices))) {
      best = {choices, loss};
    }
    std::size_t g = 0;
    while (g < choices.size() && ++choices[g] == static_cast<int>(problem.groups[g].size())) {
      choices[g++] = 0;
    }
    if (g == choices.size()) break;
  }
  if (best.choices.size() != choices.size() ||
      best.loss == std::numeric_limits<double>::infinity()) {
    return std::nullopt;
  }
  return best;
}

}  // namespace shardquant::tests
