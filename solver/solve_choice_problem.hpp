#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "solver/choice_problem.hpp"

namespace shardquant::solver {

/// The problem is malformed: an empty group, a loss that is not finite, negative bits, or bits that
/// sum beyond 2^60.
struct InvalidProblem : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

enum class SolveStatus {
  proved,            ///< optimal: every selection whose loss is less, as a double, was excluded
  within_tolerance,  ///< not further from the optimum than Settings::tolerance
  stopped,           ///< the search reached Settings::max_states; `gap` says what is left open
  infeasible,        ///< even the cheapest selection exceeds the budget
};

struct Settings {
  /// Relative gap at which the search may stop: (total_loss - lower_bound) / |total_loss|.
  double tolerance = 0.0;
  /// Bound of memory: partial selections kept at once, at up to 100 bytes, and moves remembered, at
  /// 8 bytes. At most 2^31.
  std::int64_t max_states = 16'000'000;
  /// For tests: an optimal selection that must survive every reduction, or an equal one in its
  /// place; std::logic_error where it does not. Not owned; one choice per group.
  const std::vector<int>* known_optimum = nullptr;
};

struct Solution {
  SolveStatus status = SolveStatus::infeasible;
  std::vector<int> choices;       ///< index of the choice of every group; empty if infeasible
  std::int64_t total_bits = 0;    ///< of the choices; of the cheapest selection if infeasible
  double total_loss = 0.0;        ///< of the choices
  double lower_bound = 0.0;       ///< no selection within the budget has a smaller total loss
  double gap = 0.0;               ///< (total_loss - lower_bound) / |total_loss|, 0 if proved
  double relaxation_bound = 0.0;  ///< value of the linear relaxation, which needs no search
  double multiplier = 0.0;        ///< loss per bit at the optimum of the relaxation
};

/// Solves the problem exactly, or says how far from the optimum it may be. Deterministic.
/// Losses are held as integers on a grid of 2^-61 of their total range, on which every comparison
/// is exact; that range is the precision of "optimal" (about 1e-16 relative for a 70B model).
/// @throws InvalidProblem
/// Source: dominance and convex hulls as in Sinha and Zoltners (1979); Lagrangian bound and
/// expanding core with dynamic programming after Pisinger (1995).
Solution solve(const ChoiceProblem& problem, const Settings& settings = {});

}  // namespace shardquant::solver
