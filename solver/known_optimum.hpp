#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "solver/core_items.hpp"
#include "solver/core_search.hpp"

namespace shardquant::solver::detail {

/// Follows a known optimal selection through a search and throws std::logic_error where a reduction
/// loses it, that is, where neither it nor a selection at least as good is left. A debugging aid:
/// a wrong reduction is found where it happens and not by a wrong result on some later instance.
class KnownOptimum {
 public:
  /// `counts` may be null, the object is then idle.
  KnownOptimum(const ReducedProblem& problem, Relaxation::Multiplier multiplier,
               const BaseSelection& base, std::int64_t slack, const ClassCounts* counts);

  /// Excess of the known selection.
  Wide excess() const { return excess_; }

  /// An enumeration of excess <= limit over these items begins. It has to contain the selection if
  /// the selection's excess is within the limit.
  void begin(const CoreItems& core, Wide limit);

  using SomeStateWithin = std::function<bool(std::int64_t bits, std::int64_t loss)>;
  /// All items up to and with `item` are combined; `some_state_within` tells whether a partial
  /// selection with at most these changes of bits and loss is left.
  void after_item(std::size_t item, const SomeStateWithin& some_state_within);

  /// The enumeration is over; `best` is the least excess found.
  void at_end(Wide best, Wide limit) const;

 private:
  const ReducedProblem& problem_;
  const BaseSelection& base_;
  const ClassCounts* counts_;
  Wide excess_ = 0;
  bool active_ = false;
  std::vector<std::int64_t> bits_after_;  // change of bits by the items up to and with this one
  std::vector<std::int64_t> loss_after_;
};

/// The reduced choice that stands for every choice of `choices`, counted per class.
/// @throws std::logic_error if a choice went without one at least as good
ClassCounts count_choices(const ChoiceProblem& problem, const ReducedProblem& reduced,
                          const std::vector<int>& choices);

}  // namespace shardquant::solver::detail
