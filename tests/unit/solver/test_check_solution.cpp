#include "solver/check_solution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "solver/solve_choice_problem.hpp"

namespace shardquant {
namespace {

using solver::check_solution;
using solver::ChoiceProblem;
using solver::Solution;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class CheckSolution : public testing::Test {
 protected:
  CheckSolution() : solution_(solver::solve(problem_)) {}

  void expect_fault(const std::string& text) const {
    EXPECT_THAT(check_solution(problem_, solution_), Contains(HasSubstr(text)));
  }

  // The optimum takes {20, 3} and {30, 1}: 4 with 50 bits.
  ChoiceProblem problem_{{{{10, 5.0}, {20, 3.0}, {40, 1.0}}, {{10, 4.0}, {30, 1.0}}}, 50};
  Solution solution_;
};

TEST_F(CheckSolution, AcceptsTheOptimum) {
  EXPECT_EQ(solution_.total_loss, 4.0);
  EXPECT_THAT(check_solution(problem_, solution_), IsEmpty());
}

TEST_F(CheckSolution, FindsChoicesThatDoNotExist) {
  solution_.choices[0] = 3;
  expect_fault("one existing choice");
  solution_.choices = {0};
  expect_fault("one existing choice");
}

TEST_F(CheckSolution, FindsAnExceededBudget) {
  solution_.choices = {2, 1};
  solution_.total_bits = 70;
  solution_.total_loss = solution_.lower_bound = 2.0;
  expect_fault("exceed the budget");
}

TEST_F(CheckSolution, FindsWrongTotals) {
  solution_.total_bits -= 1;
  solution_.total_loss += 1e-6;
  expect_fault("bits do not sum");
  expect_fault("losses do not sum");
}

TEST_F(CheckSolution, FindsABoundBelowWhatTheRelaxationProves) {
  solution_.lower_bound = solution_.relaxation_bound - 0.1;
  solution_.gap = (4.0 - solution_.lower_bound) / 4.0;
  solution_.status = solver::SolveStatus::stopped;
  expect_fault("below the Lagrangian bound");
}

TEST_F(CheckSolution, FindsABoundAboveTheLoss) {
  solution_.lower_bound = 4.5;
  expect_fault("above the loss");
}

TEST_F(CheckSolution, FindsAProofWithAGap) {
  solution_.lower_bound = 3.9;
  expect_fault("said to be proved");
  expect_fault("gap is not that of the bound");
}

TEST_F(CheckSolution, FindsAnImprovementByOneChange) {
  solution_.choices = {0, 1};
  solution_.total_bits = 40;
  solution_.total_loss = solution_.lower_bound = 6.0;
  expect_fault("changing one group");
}

TEST_F(CheckSolution, FindsInfeasibilityThatIsNone) {
  solution_.status = solver::SolveStatus::infeasible;
  expect_fault("within the budget");
}

}  // namespace
}  // namespace shardquant
