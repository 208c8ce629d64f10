#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "solver/check_solution.hpp"
#include "solver/solve_choice_problem.hpp"

namespace shardquant {
namespace {

// Instances of 30 to 40 groups whose optimum tests/data/make_choice_problems.py found by complete
// enumeration.
TEST(SolveInstances, ReachesTheKnownOptimum) {
  std::ifstream file(SHARDQUANT_SOURCE_DIR "/tests/data/choice_problems.json");
  const auto instances = nlohmann::json::parse(file);
  ASSERT_EQ(instances.size(), 11u);
  for (const auto& instance : instances) {
    SCOPED_TRACE(instance["name"].get<std::string>());
    solver::ChoiceProblem problem;
    problem.budget_bits = instance["budget_bits"];
    for (const auto& group : instance["groups"]) {
      auto& choices = problem.groups.emplace_back();
      for (const auto& choice : group) choices.push_back({choice[0], choice[1].get<double>()});
    }
    const solver::Solution solution = solver::solve(problem);
    EXPECT_EQ(solution.status, solver::SolveStatus::proved);
    EXPECT_EQ(solution.total_loss, instance["optimum"].get<double>());
    EXPECT_EQ(solution.lower_bound, solution.total_loss);
    EXPECT_THAT(solver::check_solution(problem, solution), testing::IsEmpty());
  }
}

}  // namespace
}  // namespace shardquant
