#pragma once

#include <cstdint>
#include <vector>

#include "solver/reduce_problem.hpp"
#include "solver/relaxation.hpp"
#include "solver/wide_integer.hpp"

namespace shardquant::solver::detail {

/// A group of a class leaves the base choice of its class for another one.
struct CoreMove {
  Wide excess = 0;        ///< loss * bits_part + bits * loss_part of the multiplier, not negative
  std::int64_t bits = 0;  ///< change, in ReducedProblem::bits_unit
  std::int64_t loss = 0;  ///< change, on the loss grid
  int group_class = 0;
  int position = 0;        ///< of the new choice within the class
  std::int64_t count = 1;  ///< groups that make the move together
};

/// The base selection: in every class the choice of least loss + multiplier * bits, the lightest
/// one on ties. No selection of any budget has a smaller Lagrangian value.
struct BaseSelection {
  std::vector<int> positions;  ///< per class
  std::int64_t bits = 0;       ///< of all groups, in bits_unit above the lightest selection
  std::int64_t loss = 0;       ///< of all groups, on the loss grid
};

BaseSelection base_selection(const ReducedProblem& problem, Relaxation::Multiplier multiplier);

/// Every move of excess at most `limit`, class after class, by excess within one.
std::vector<CoreMove> moves_within(const ReducedProblem& problem, Relaxation::Multiplier multiplier,
                                   const BaseSelection& base, Wide limit);

/// Moves of which one selection takes at most one.
struct CoreItem {
  std::int64_t first_move = 0;  ///< into CoreItems::moves
  std::int64_t last_move = 0;   ///< past the end
};

/// A move without excess that up to `limit` groups of a class may make; it is applied last, as
/// often as the bits left over allow.
struct FillerMove {
  CoreMove move;
  std::int64_t limit = 0;  ///< 0: there is none
};

/// The decisions that a selection of excess at most `limit` can consist of.
struct CoreItems {
  std::vector<CoreMove> moves;
  std::vector<CoreItem> items;  ///< by least excess: the decisions most likely to matter first
  FillerMove filler;
};

/// Writes every combination of moves of a class with total excess <= limit as one choice per item:
/// a class of m groups whose second cheapest move costs x2 has at most D = limit / x2 groups that
/// make another move than the cheapest, so D items offer every move, and the remaining m - D groups
/// only make the cheapest one, in blocks of 1, 2, 4, ... groups.
CoreItems make_core_items(const ReducedProblem& problem, const std::vector<CoreMove>& moves,
                          Wide limit);

}  // namespace shardquant::solver::detail
