#include "solver/solve_minimax.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace shardquant::solver {

namespace {

void check_shape(const ChoiceProblem& problem, const std::vector<std::vector<double>>& peaks) {
  if (peaks.size() != problem.groups.size()) throw InvalidProblem("peaks: one list per group");
  for (std::size_t g = 0; g < peaks.size(); ++g) {
    if (peaks[g].size() != problem.groups[g].size()) {
      throw InvalidProblem("peaks: one per choice, group " + std::to_string(g));
    }
    const bool finite =
        std::all_of(peaks[g].begin(), peaks[g].end(), [](double p) { return std::isfinite(p); });
    if (!finite) throw InvalidProblem("a peak is not finite, group " + std::to_string(g));
  }
}

// Whether every group has a choice with a peak of at most `limit`, the lightest within the budget.
bool fits(const ChoiceProblem& problem, const std::vector<std::vector<double>>& peaks,
          double limit) {
  std::int64_t left = problem.budget_bits;
  for (std::size_t g = 0; g < peaks.size(); ++g) {
    std::optional<std::int64_t> lightest;
    for (std::size_t i = 0; i < peaks[g].size(); ++i) {
      const std::int64_t bits = problem.groups[g][i].bits;
      if (peaks[g][i] <= limit && (!lightest || bits < *lightest)) lightest = bits;
    }
    if (!lightest || *lightest > left) return false;
    left -= *lightest;
  }
  return left >= 0;
}

std::optional<double> least_peak(const ChoiceProblem& problem,
                                 const std::vector<std::vector<double>>& peaks) {
  std::vector<double> limits;
  for (const auto& group : peaks) limits.insert(limits.end(), group.begin(), group.end());
  std::sort(limits.begin(), limits.end());
  limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
  const auto place = std::partition_point(
      limits.begin(), limits.end(), [&](double limit) { return !fits(problem, peaks, limit); });
  if (place == limits.end()) return std::nullopt;
  return *place;
}

}  // namespace

MinimaxSolution solve_minimax(const ChoiceProblem& problem,
                              const std::vector<std::vector<double>>& peaks,
                              const Settings& settings) {
  check_shape(problem, peaks);
  MinimaxSolution result;
  const auto peak = least_peak(problem, peaks);
  if (!peak) {
    // Infeasible, or without groups: the plain problem says which.
    result.solution = solve(problem, settings);
    return result;
  }
  result.peak = *peak;

  ChoiceProblem within;
  within.budget_bits = problem.budget_bits;
  std::vector<std::vector<int>> original_index;
  for (std::size_t g = 0; g < peaks.size(); ++g) {
    auto& group = within.groups.emplace_back();
    auto& index = original_index.emplace_back();
    for (std::size_t i = 0; i < peaks[g].size(); ++i) {
      if (peaks[g][i] > *peak) continue;
      group.push_back(problem.groups[g][i]);
      index.push_back(static_cast<int>(i));
    }
  }
  result.solution = solve(within, settings);
  for (std::size_t g = 0; g < result.solution.choices.size(); ++g) {
    result.solution.choices[g] = original_index[g][result.solution.choices[g]];
  }
  return result;
}

}  // namespace shardquant::solver
