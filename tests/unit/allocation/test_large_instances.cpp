#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>

#include "pipeline/records/measurement_file.hpp"
#include "solver/check_solution.hpp"
#include "solver/objective.hpp"
#include "solver/solve_choice_problem.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/unit/allocation/cpu_seconds.hpp"
#include "tests/unit/solver/random_problem.hpp"

namespace shardquant {
namespace {

constexpr const char* kShared = "data/measurements/llama2-70b.2023.json";
constexpr double kBpw = 2.4;

// The layers of the shared measurement over and over, each error times exp(sigma * normal).
solver::ChoiceProblem large_problem(int groups, double sigma, solver::Objective objective) {
  static const records::Measurement measurement =
      records::read_measurement_2023(tests::shared_path(kShared));
  tests::RandomProblems random(70);
  solver::ChoiceProblem problem;
  double budget = 0.0;
  for (int g = 0; g < groups; ++g) {
    const auto& layer = measurement.layers[g % measurement.layers.size()];
    budget += kBpw * static_cast<double>(layer.numel);
    auto& group = problem.groups.emplace_back();
    for (const auto& option : layer.options) {
      const double err = sigma > 0.0 ? option.err * std::exp(sigma * random.normal()) : option.err;
      group.push_back({option.bits(), *solver::loss_of(objective, std::min(err, 0.999))});
    }
  }
  problem.budget_bits = static_cast<std::int64_t>(budget);
  return problem;
}

std::int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

void expect_solved(int groups, double sigma, solver::Objective objective, double seconds) {
  SKIP_WITHOUT_SHARED(kShared);
  const solver::ChoiceProblem problem = large_problem(groups, sigma, objective);
  solver::Solution solution;
  const double taken = tests::cpu_seconds([&] { solution = solver::solve(problem); });
  EXPECT_LT(taken, seconds);
  EXPECT_LT(peak_bytes(), std::int64_t{2} << 30);
  EXPECT_LE(solution.gap, 1e-9);
  EXPECT_NE(solution.status, solver::SolveStatus::stopped);
  EXPECT_THAT(solver::check_solution(problem, solution), testing::IsEmpty());
  std::printf("%d groups, sigma %.1f, %s: %.9f, gap %.3g, %.3f s, peak %lld MiB\n", groups, sigma,
              std::string(solver::objective_name(objective)).c_str(), solution.total_loss,
              solution.gap, taken, static_cast<long long>(peak_bytes() >> 20));
}

constexpr int kGroups = SHARDQUANT_LARGE_GROUPS;

TEST(LargeInstances, ReplicatedExactlySum) {
  expect_solved(kGroups, 0.0, solver::Objective::sum, 2.0);
}
TEST(LargeInstances, ReplicatedExactlyLogLikelihood) {
  expect_solved(kGroups, 0.0, solver::Objective::nll, 2.0);
}
TEST(LargeInstances, ReplicatedWithJitterSum) {
  expect_solved(kGroups, 0.3, solver::Objective::sum, 2.0);
}
TEST(LargeInstances, ReplicatedWithJitterLogLikelihood) {
  expect_solved(kGroups, 0.3, solver::Objective::nll, 2.0);
}
TEST(LargeInstances, ReplicatedSumOfSquaresAndOfLogarithms) {
  for (const double sigma : {0.0, 0.3}) {
    expect_solved(kGroups, sigma, solver::Objective::sum_squares, 10.0);
    expect_solved(kGroups, sigma, solver::Objective::log, 10.0);
  }
}

}  // namespace
}  // namespace shardquant
