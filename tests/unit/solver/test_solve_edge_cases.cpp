#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "solver/check_solution.hpp"
#include "solver/solve_choice_problem.hpp"
#include "tests/unit/solver/random_problem.hpp"

namespace shardquant {
namespace {

using solver::ChoiceProblem;
using solver::Solution;
using solver::SolveStatus;
using testing::ElementsAre;
using testing::IsEmpty;

ChoiceProblem three_groups(std::int64_t budget) {
  return {{{{10, 5.0}, {20, 3.0}, {40, 1.0}}, {{10, 4.0}, {30, 1.0}}, {{5, 9.0}, {50, 0.5}}},
          budget};
}

TEST(SolveEdgeCases, BudgetEqualToTheMinimum) {
  const Solution solution = solver::solve(three_groups(25));
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_THAT(solution.choices, ElementsAre(0, 0, 0));
  EXPECT_EQ(solution.total_bits, 25);
  EXPECT_THAT(solver::check_solution(three_groups(25), solution), IsEmpty());
}

TEST(SolveEdgeCases, OneBitLessThanTheMinimum) {
  const Solution solution = solver::solve(three_groups(24));
  EXPECT_EQ(solution.status, SolveStatus::infeasible);
  EXPECT_EQ(solution.total_bits, 25);
  EXPECT_THAT(solution.choices, IsEmpty());
  EXPECT_THAT(solver::check_solution(three_groups(24), solution), IsEmpty());
}

TEST(SolveEdgeCases, BudgetEqualToTheMaximumAndBeyond) {
  for (const std::int64_t budget :
       {std::int64_t{120}, std::int64_t{121}, std::numeric_limits<std::int64_t>::max()}) {
    const Solution solution = solver::solve(three_groups(budget));
    EXPECT_EQ(solution.status, SolveStatus::proved);
    EXPECT_THAT(solution.choices, ElementsAre(2, 1, 1));
    EXPECT_EQ(solution.multiplier, 0.0);
  }
  EXPECT_THAT(solver::solve(three_groups(119)).choices, testing::Not(ElementsAre(2, 1, 1)));
}

TEST(SolveEdgeCases, OneGroup) {
  const ChoiceProblem problem{{{{7, 3.0}, {9, 2.5}, {12, 0.1}, {8, 2.6}}}, 11};
  const Solution solution = solver::solve(problem);
  EXPECT_THAT(solution.choices, ElementsAre(1));
  EXPECT_EQ(solution.lower_bound, 2.5);
}

TEST(SolveEdgeCases, NoGroup) {
  const Solution solution = solver::solve({{}, 0});
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_EQ(solution.total_loss, 0.0);
  EXPECT_EQ(solver::solve({{}, -1}).status, SolveStatus::infeasible);
}

TEST(SolveEdgeCases, AllOptionsEqual) {
  ChoiceProblem problem;
  problem.groups.assign(1000, std::vector<solver::Choice>(24, {4096, 0.25}));
  problem.budget_bits = 4096 * 1000;
  const Solution solution = solver::solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_EQ(solution.total_loss, 250.0);
  EXPECT_THAT(solution.choices, testing::Each(0));
}

TEST(SolveEdgeCases, AGroupOfOneOption) {
  const ChoiceProblem problem{{{{100, 1.0}}, {{10, 5.0}, {60, 1.0}}, {{1, 2.0}}}, 161};
  const Solution solution = solver::solve(problem);
  EXPECT_THAT(solution.choices, ElementsAre(0, 1, 0));
  EXPECT_EQ(solution.total_bits, 161);
}

TEST(SolveEdgeCases, TotalBitsBeyondTwoToTheFortyThree) {
  // A model of 700 billion weights at 8 bits, and far beyond.
  const std::int64_t step = (std::int64_t{1} << 49) + 512;
  ChoiceProblem problem;
  for (int g = 0; g < 200; ++g) {
    const double scale = 1.0 + 0.001 * g;
    problem.groups.push_back(
        {{step, 4.0 * scale}, {2 * step, 2.0 * scale}, {5 * step, 0.5 * scale}});
  }
  problem.budget_bits = 450 * step - 1;
  const Solution solution = solver::solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_GT(solution.total_bits, std::int64_t{1} << 57);
  EXPECT_LE(solution.total_bits, problem.budget_bits);
  EXPECT_THAT(solver::check_solution(problem, solution), IsEmpty());
}

TEST(SolveEdgeCases, LossesOfZeroNegativeAndTiny) {
  const ChoiceProblem zero{{{{1, 0.0}, {2, 0.0}}, {{3, 0.0}}}, 10};
  EXPECT_EQ(solver::solve(zero).total_loss, 0.0);
  EXPECT_EQ(solver::solve(zero).gap, 0.0);

  const double tiny = std::numeric_limits<double>::denorm_min();
  const ChoiceProblem denormal{{{{1, 3 * tiny}, {2, tiny}}, {{1, 4 * tiny}, {2, tiny}}}, 3};
  EXPECT_THAT(solver::solve(denormal).choices, ElementsAre(0, 1));

  const ChoiceProblem negative{{{{1, -1.0}, {5, -7.0}}, {{1, -1.0}, {5, -8.0}}}, 6};
  const Solution solution = solver::solve(negative);
  EXPECT_THAT(solution.choices, ElementsAre(0, 1));
  EXPECT_EQ(solution.total_loss, -9.0);
  EXPECT_EQ(solution.lower_bound, -9.0);
}

// 200,000 groups that are all the same: one class, whose copies must not multiply the work.
TEST(SolveEdgeCases, ManyIdenticalGroups) {
  ChoiceProblem problem;
  const std::vector<solver::Choice> group = {{3, 5.0}, {4, 3.9}, {6, 2.2}, {7, 2.1}, {11, 0.3}};
  problem.groups.assign(200'000, group);
  problem.budget_bits = 200'000 * 5 + 1;
  const Solution solution = solver::solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_THAT(solver::check_solution(problem, solution), IsEmpty());
}

// Losses on one line up to the rounding of the doubles: every selection that fills the budget is
// optimal as far as a double can tell, and telling more must not be tried.
TEST(SolveEdgeCases, DifferencesBelowTheRoundingOfTheLossesAreNotPursued) {
  tests::RandomProblems random(11);
  ChoiceProblem problem;
  for (int g = 0; g < 560; ++g) {
    auto& group = problem.groups.emplace_back();
    for (int i = 0; i < 24; ++i) {
      const std::int64_t bits = 512 * random.integer(400'000, 1'600'000);
      group.push_back({bits, (8.2e8 - static_cast<double>(bits)) / 1e9});
    }
    problem.budget_bits += 512 * 800'000;
  }
  const Solution solution = solver::solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_THAT(solver::check_solution(problem, solution), IsEmpty());
}

TEST(SolveEdgeCases, RefusesMalformedProblems) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const std::int64_t half = (std::int64_t{1} << 60) - 1;
  EXPECT_THROW(solver::solve({{{}}, 1}), solver::InvalidProblem);
  EXPECT_THROW(solver::solve({{{{1, nan}}}, 1}), solver::InvalidProblem);
  EXPECT_THROW(solver::solve({{{{1, inf}}}, 1}), solver::InvalidProblem);
  EXPECT_THROW(solver::solve({{{{-1, 0.0}}}, 1}), solver::InvalidProblem);
  EXPECT_THROW(solver::solve({{{{half, 0.0}}, {{half, 0.0}}}, 1}), solver::InvalidProblem);
  EXPECT_THROW(solver::solve({{{{1, -1e308}, {2, 1e308}}}, 1}), solver::InvalidProblem);
}

TEST(SolveEdgeCases, BitsWithACommonFactorLeaveWhatCannotBeUsed) {
  // Every selection takes 7 + a multiple of 1000; the bound knows that 999 bits are of no use.
  const ChoiceProblem problem{{{{3, 9.0}, {1003, 4.0}, {3003, 1.0}}, {{4, 9.0}, {2004, 3.0}}},
                              3006};
  const Solution solution = solver::solve(problem);
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_EQ(solution.total_bits, 2007);
}

}  // namespace
}  // namespace shardquant
