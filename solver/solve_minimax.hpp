#pragma once

#include <vector>

#include "solver/solve_choice_problem.hpp"

namespace shardquant::solver {

/// A selection whose largest peak is the least there is, and of those the one of least total loss.
struct MinimaxSolution {
  double peak =
      0.0;  ///< largest peak of a choice; no selection within the budget has a smaller one
  Solution solution;  ///< bounds and gap are those of the loss among selections of that peak
};

/// @param peaks  one per choice, in the shape of problem.groups; finite
/// @throws InvalidProblem, also for peaks of another shape
MinimaxSolution solve_minimax(const ChoiceProblem& problem,
                              const std::vector<std::vector<double>>& peaks,
                              const Settings& settings = {});

}  // namespace shardquant::solver
