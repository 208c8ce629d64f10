#pragma once

#include <cstdint>
#include <vector>

#include "solver/choice_problem.hpp"

namespace shardquant::solver::detail {

/// A choice that no other of its group dominates, in integers and relative to its group.
struct ReducedChoice {
  std::int64_t bits = 0;  ///< above the lightest choice of the group, in ReducedProblem::bits_unit
  std::int64_t loss = 0;  ///< above the least loss of the group, in units of 2^-loss_exponent
  int index = 0;          ///< in the group of the original problem
};

/// Groups with equal lists of reduced choices.
struct GroupClass {
  int representative = 0;         ///< its first group
  std::int64_t first_member = 0;  ///< into ReducedProblem::members
  std::int64_t size = 0;          ///< number of groups
};

/// The problem without dominated choices, on an integer grid, equal groups collected.
struct ReducedProblem {
  std::vector<ReducedChoice> choices;  ///< group after group; bits rise and losses fall within one
  std::vector<std::int64_t> first;     ///< [groups + 1] where each group begins in `choices`
  std::vector<int> members;            ///< groups, class after class, rising within a class
  std::vector<GroupClass> classes;     ///< by representative, rising

  std::int64_t least_bits = 0;  ///< of the lightest selection, in bits
  std::int64_t bits_unit = 1;   ///< greatest common divisor of all differences of bits
  int loss_exponent = 0;
  double least_loss = 0.0;  ///< sum of every group's least loss

  std::int64_t groups() const { return static_cast<std::int64_t>(first.size()) - 1; }
};

/// Checks and reduces. A choice goes if another of its group has no more bits and no more loss (the
/// earlier one stays where both are equal).
/// @throws InvalidProblem
ReducedProblem reduce_problem(const ChoiceProblem& problem);

}  // namespace shardquant::solver::detail
