#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "solver/check_solution.hpp"
#include "solver/solve_choice_problem.hpp"
#include "solver/solve_minimax.hpp"
#include "tests/oracle/brute_force_choice.hpp"
#include "tests/unit/solver/random_problem.hpp"

namespace shardquant {
namespace {

using solver::ChoiceProblem;
using solver::Settings;
using solver::Solution;
using solver::SolveStatus;
using tests::ProblemKind;

constexpr int kInstances = 2000;
constexpr int kKinds = static_cast<int>(ProblemKind::count);

double magnitude(const ChoiceProblem& problem) {
  double sum = 0.0;
  for (const auto& group : problem.groups) {
    double largest = 0.0;
    for (const auto& choice : group) largest = std::max(largest, std::abs(choice.loss));
    sum += largest;
  }
  return sum;
}

void expect_optimal(const ChoiceProblem& problem, const Solution& solution,
                    const tests::BruteForceChoice& best) {
  EXPECT_EQ(solution.status, SolveStatus::proved);
  EXPECT_NEAR(solution.total_loss, best.loss, 1e-13 * magnitude(problem));
  EXPECT_EQ(solution.gap, 0.0);
  EXPECT_THAT(solver::check_solution(problem, solution), testing::IsEmpty());
}

// 2,000 instances of up to 8 groups and 6 options against all selections; every one also with its
// optimum known to the solver, which then checks that none of its reductions loses it.
TEST(SolveRandom, FindsTheOptimumAndKeepsItThroughEveryReduction) {
  tests::RandomProblems random(20230918);
  int infeasible = 0;
  for (int i = 0; i < kInstances; ++i) {
    const auto kind = static_cast<ProblemKind>(i % kKinds);
    const bool full_size = i % 50 == 0;
    const int groups = full_size ? 8 : static_cast<int>(random.integer(1, 8));
    ChoiceProblem problem = random.next(kind, groups, 6);
    if (i % 40 == 7) problem.budget_bits -= 1 + (problem.budget_bits > 5 ? 4 : 0);
    SCOPED_TRACE(testing::Message() << "instance " << i);
    const auto best = tests::brute_force_choice(problem);
    if (!best) {
      ++infeasible;
      EXPECT_EQ(solver::solve(problem).status, SolveStatus::infeasible);
      continue;
    }
    expect_optimal(problem, solver::solve(problem), *best);
    Settings guarded;
    guarded.known_optimum = &best->choices;
    ASSERT_NO_THROW(expect_optimal(problem, solver::solve(problem, guarded), *best));
    if (testing::Test::HasFailure()) break;
  }
  RecordProperty("infeasible", infeasible);
}

TEST(SolveRandom, MinimaxFindsTheLeastPeakAndThenTheLeastSum) {
  tests::RandomProblems random(77);
  for (int i = 0; i < 400; ++i) {
    SCOPED_TRACE(testing::Message() << "instance " << i);
    const auto kind = static_cast<ProblemKind>(i % kKinds);
    const ChoiceProblem problem = random.next(kind, static_cast<int>(random.integer(1, 6)), 5);
    std::vector<std::vector<double>> peaks;
    for (const auto& group : problem.groups) {
      auto& of_group = peaks.emplace_back();
      for (const auto& choice : group) of_group.push_back(choice.loss);
    }
    const auto peak_of = [&](const std::vector<int>& choices) {
      double peak = -std::numeric_limits<double>::infinity();
      for (std::size_t g = 0; g < choices.size(); ++g) peak = std::max(peak, peaks[g][choices[g]]);
      return peak;
    };
    double least_peak = std::numeric_limits<double>::infinity();
    tests::brute_force_choice(problem, [&](const std::vector<int>& choices) {
      least_peak = std::min(least_peak, peak_of(choices));
      return false;
    });
    const auto best = tests::brute_force_choice(
        problem, [&](const std::vector<int>& choices) { return peak_of(choices) <= least_peak; });
    const auto found = solver::solve_minimax(problem, peaks);
    ASSERT_TRUE(best.has_value());
    EXPECT_EQ(found.peak, least_peak);
    EXPECT_EQ(peak_of(found.solution.choices), least_peak);
    EXPECT_EQ(found.solution.status, SolveStatus::proved);
    EXPECT_NEAR(found.solution.total_loss, best->loss, 1e-13 * magnitude(problem));
  }
}

// A tolerance may end the proof early, but what it then claims has to be true.
TEST(SolveRandom, BoundsHoldUnderATolerance) {
  tests::RandomProblems random(5);
  for (int i = 0; i < 300; ++i) {
    SCOPED_TRACE(testing::Message() << "instance " << i);
    const ChoiceProblem problem = random.next(static_cast<ProblemKind>(i % kKinds), 12, 6);
    Settings exact;
    const Solution optimum = solver::solve(problem, exact);
    Settings rough;
    rough.tolerance = 0.05;
    const Solution solution = solver::solve(problem, rough);
    const double slack = 1e-13 * magnitude(problem);
    EXPECT_LE(solution.lower_bound, optimum.total_loss + slack);
    EXPECT_GE(solution.total_loss, optimum.total_loss - slack);
    EXPECT_LE(solution.gap, 0.05 + 1e-12);
    EXPECT_THAT(solver::check_solution(problem, solution), testing::IsEmpty());
  }
}

// So few states that the search has to leave some out: it must say so and stay sound.
TEST(SolveRandom, ASearchThatIsCutShortSaysHowFarItMayBeOff) {
  tests::RandomProblems random(6);
  int stopped = 0;
  for (int i = 0; i < 200; ++i) {
    SCOPED_TRACE(testing::Message() << "instance " << i);
    const ChoiceProblem problem = random.next(static_cast<ProblemKind>(i % kKinds), 20, 6);
    const Solution optimum = solver::solve(problem);
    Settings narrow;
    narrow.max_states = 4;
    const Solution solution = solver::solve(problem, narrow);
    const double slack = 1e-13 * magnitude(problem);
    EXPECT_LE(solution.lower_bound, optimum.total_loss + slack);
    EXPECT_GE(solution.total_loss, optimum.total_loss - slack);
    EXPECT_THAT(solver::check_solution(problem, solution), testing::IsEmpty());
    stopped += solution.status == SolveStatus::stopped ? 1 : 0;
  }
  EXPECT_GT(stopped, 20);
}

TEST(SolveRandom, GivesTheSameChoicesEveryTime) {
  tests::RandomProblems random(8);
  for (int i = 0; i < 60; ++i) {
    const ChoiceProblem problem = random.next(static_cast<ProblemKind>(i % kKinds), 15, 6);
    EXPECT_EQ(solver::solve(problem).choices, solver::solve(problem).choices);
  }
}

}  // namespace
}  // namespace shardquant
