#pragma once

#include <cstdint>
#include <vector>

#include "solver/core_items.hpp"

namespace shardquant::solver::detail {

/// How far a search may go.
struct SearchLimits {
  double tolerance = 0.0;  ///< relative gap at which to stop; below 2^-53 it counts as that
  /// Loss of a selection without excess, and what a unit of excess adds; for the tolerance.
  long double loss_without_excess = 0.0L;
  long double loss_per_excess = 0.0L;
  std::int64_t max_states = 0;  ///< partial selections at once, and remembered moves

  /// True where a selection of this excess is certain to be optimal, up to the tolerance or the
  /// rounding of its loss to double.
  bool good_enough(Wide excess, Wide proven) const;
};

/// A group of a class takes the choice at `position` instead of the base, `count` times.
struct Deviation {
  int group_class = 0;
  int position = 0;
  std::int64_t count = 0;
};

/// What a search found. Excess of a selection = its loss above the Lagrangian bound, times
/// bits_part of the multiplier; exact.
struct SearchResult {
  std::vector<Deviation> deviations;  ///< of the best selection from the base
  Wide excess = 0;                    ///< of the best selection
  Wide proven = 0;                    ///< every selection within the capacity has at least this
};

/// For tests: per class, how many groups of a known optimum take the choice at each position.
using ClassCounts = std::vector<std::vector<std::int64_t>>;

/// Enumerates the selections within `capacity` by growing excess until the best one is certain:
/// all decisions that a selection of excess <= g can contain are combined by dynamic programming
/// over (bits, loss), and g is doubled until a selection turns up. Partial selections go when they
/// are dominated, cannot return to the capacity, or cannot use it up within the limit.
/// @pre base.bits <= capacity
/// @throws std::logic_error if `known_optimum` is given and is lost by one of these reductions
SearchResult search_core(const ReducedProblem& problem, Relaxation::Multiplier multiplier,
                         const BaseSelection& base, std::int64_t capacity,
                         const SearchLimits& limits, const ClassCounts* known_optimum = nullptr);

}  // namespace shardquant::solver::detail
