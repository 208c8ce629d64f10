#include "solver/known_optimum.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "solver/core_search.hpp"
#include "solver/relaxation.hpp"
#include "solver/solve_choice_problem.hpp"

namespace shardquant {
namespace {

using namespace solver;
using namespace solver::detail;

// Two of three groups are equal, so that classes, blocks and filler all take part.
const ChoiceProblem kProblem{{{{10, 5.0}, {20, 3.0}, {40, 1.0}},
                              {{10, 5.0}, {20, 3.0}, {40, 1.0}},
                              {{10, 4.0}, {30, 1.0}, {35, 0.9}}},
                             75};
const std::vector<int> kOptimum = {1, 1, 2};

struct Prepared {
  ReducedProblem reduced = reduce_problem(kProblem);
  std::int64_t capacity = (kProblem.budget_bits - reduced.least_bits) / reduced.bits_unit;
  Relaxation::Multiplier multiplier = Relaxation(reduced).multiplier(capacity);
  BaseSelection base = base_selection(reduced, multiplier);
  ClassCounts counts = count_choices(kProblem, reduced, kOptimum);
  KnownOptimum known{reduced, multiplier, base, capacity - base.bits, &counts};
};

CoreItems items_within(const Prepared& prepared, Wide limit) {
  return make_core_items(prepared.reduced,
                         moves_within(prepared.reduced, prepared.multiplier, prepared.base, limit),
                         limit);
}

TEST(KnownOptimum, PassesThroughASoundSearch) {
  Settings settings;
  settings.known_optimum = &kOptimum;
  EXPECT_NO_THROW(EXPECT_EQ(solve(kProblem, settings).choices, kOptimum));
}

TEST(KnownOptimum, NoticesAnItemThatIsMissing) {
  Prepared prepared;
  CoreItems core = items_within(prepared, prepared.known.excess());
  EXPECT_NO_THROW(prepared.known.begin(core, prepared.known.excess()));
  core.items.clear();
  core.filler.limit = 0;
  EXPECT_THROW(prepared.known.begin(core, prepared.known.excess()), std::logic_error);
}

TEST(KnownOptimum, NoticesAStateThatIsMissing) {
  Prepared prepared;
  const CoreItems core = items_within(prepared, prepared.known.excess());
  ASSERT_FALSE(core.items.empty());
  prepared.known.begin(core, prepared.known.excess());
  EXPECT_NO_THROW(prepared.known.after_item(0, [](std::int64_t, std::int64_t) { return true; }));
  EXPECT_THROW(prepared.known.after_item(0, [](std::int64_t, std::int64_t) { return false; }),
               std::logic_error);
}

TEST(KnownOptimum, NoticesAWorseResult) {
  const Prepared prepared;
  const Wide excess = prepared.known.excess();
  EXPECT_NO_THROW(prepared.known.at_end(excess, excess));
  EXPECT_THROW(prepared.known.at_end(excess + 1, excess), std::logic_error);
}

TEST(KnownOptimum, NoticesAChoiceLostToDominance) {
  ReducedProblem reduced = reduce_problem(kProblem);
  // As if the lightest choice of the last group had been dropped.
  const std::vector<int> lightest = {0, 0, 0};
  EXPECT_NO_THROW(count_choices(kProblem, reduced, lightest));
  reduced.choices[reduced.first[2]].index = 1;
  EXPECT_THROW(count_choices(kProblem, reduced, lightest), std::logic_error);
}

TEST(KnownOptimum, RefusesASelectionBeyondTheBudget) {
  const std::vector<int> too_much = {2, 2, 2};
  Settings settings;
  settings.known_optimum = &too_much;
  EXPECT_THROW(solve(kProblem, settings), std::logic_error);
}

}  // namespace
}  // namespace shardquant
