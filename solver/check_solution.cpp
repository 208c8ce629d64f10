#include "solver/check_solution.hpp"

#include <algorithm>
#include <cmath>

namespace shardquant::solver {

namespace {

// Sums of up to 10^6 doubles in long double are off by less than this, relative to their largest
// partial sum.
constexpr long double kPrecision = 1e-12L;

struct Totals {
  long double loss = 0.0L;
  long double magnitude = 0.0L;  // of the numbers added, for tolerances
  std::int64_t bits = 0;
};

Totals totals_of(const ChoiceProblem& problem, const std::vector<int>& choices) {
  Totals totals;
  for (std::size_t g = 0; g < choices.size(); ++g) {
    const Choice& choice = problem.groups[g][choices[g]];
    totals.loss += choice.loss;
    totals.magnitude += std::abs(choice.loss);
    totals.bits += choice.bits;
  }
  return totals;
}

std::int64_t lightest_bits(const ChoiceProblem& problem) {
  std::int64_t bits = 0;
  for (const auto& group : problem.groups) {
    bits += std::min_element(group.begin(), group.end(), [](const Choice& a, const Choice& b) {
              return a.bits < b.bits;
            })->bits;
  }
  return bits;
}

// min over all selections of loss + multiplier * (bits - budget); valid for any multiplier >= 0.
long double lagrangian_bound(const ChoiceProblem& problem, long double multiplier) {
  long double bound = -multiplier * static_cast<long double>(problem.budget_bits);
  for (const auto& group : problem.groups) {
    long double least = INFINITY;
    for (const Choice& choice : group) {
      least = std::min(least, choice.loss + multiplier * static_cast<long double>(choice.bits));
    }
    bound += least;
  }
  return bound;
}

bool choices_exist(const ChoiceProblem& problem, const std::vector<int>& choices) {
  if (choices.size() != problem.groups.size()) return false;
  for (std::size_t g = 0; g < choices.size(); ++g) {
    if (choices[g] < 0 || choices[g] >= static_cast<int>(problem.groups[g].size())) return false;
  }
  return true;
}

bool one_change_improves(const ChoiceProblem& problem, const Solution& solution,
                         long double tolerance) {
  const std::int64_t room = problem.budget_bits - solution.total_bits;
  for (std::size_t g = 0; g < problem.groups.size(); ++g) {
    const Choice& chosen = problem.groups[g][solution.choices[g]];
    for (const Choice& other : problem.groups[g]) {
      if (other.bits - chosen.bits <= room && other.loss < chosen.loss - tolerance) return true;
    }
  }
  return false;
}

void check_status(const Solution& solution, std::vector<std::string>& faults) {
  const double open = solution.total_loss - solution.lower_bound;
  const double gap = solution.total_loss == 0.0 ? open : open / std::abs(solution.total_loss);
  if (std::abs(gap - solution.gap) > 1e-12) faults.emplace_back("the gap is not that of the bound");
  if (solution.status == SolveStatus::proved && open != 0.0) {
    faults.emplace_back("a gap is left though the optimum is said to be proved");
  }
}

}  // namespace

std::vector<std::string> check_solution(const ChoiceProblem& problem, const Solution& solution) {
  std::vector<std::string> faults;
  if (solution.status == SolveStatus::infeasible) {
    if (lightest_bits(problem) <= problem.budget_bits) {
      faults.emplace_back("the lightest selection is within the budget");
    }
    return faults;
  }
  if (!choices_exist(problem, solution.choices)) {
    faults.emplace_back("the choices are not one existing choice per group");
    return faults;
  }
  const Totals totals = totals_of(problem, solution.choices);
  const long double tolerance = kPrecision * (totals.magnitude + 1e-300L);
  if (totals.bits > problem.budget_bits) faults.emplace_back("the bits exceed the budget");
  if (totals.bits != solution.total_bits) faults.emplace_back("the bits do not sum to the total");
  if (std::abs(totals.loss - solution.total_loss) > tolerance) {
    faults.emplace_back("the losses do not sum to the total");
  }

  if (!(solution.multiplier >= 0.0)) faults.emplace_back("the multiplier is negative");
  const long double bound = lagrangian_bound(problem, solution.multiplier);
  // The multiplier is a rounded fraction: what rounding moves in multiplier * bits counts as well.
  const long double bound_tolerance =
      tolerance + kPrecision * solution.multiplier * static_cast<long double>(problem.budget_bits);
  if (bound > solution.lower_bound + bound_tolerance) {
    faults.emplace_back("the claimed bound is below the Lagrangian bound");
  }
  if (bound > solution.relaxation_bound + bound_tolerance ||
      solution.relaxation_bound > solution.lower_bound + tolerance) {
    faults.emplace_back("the bound of the relaxation is not between the two others");
  }
  if (solution.lower_bound > solution.total_loss) {
    faults.emplace_back("the claimed bound is above the loss");
  }
  check_status(solution, faults);
  // A selection that is only within a tolerance may leave such a change open.
  if (solution.status == SolveStatus::proved && one_change_improves(problem, solution, tolerance)) {
    faults.emplace_back("changing one group improves the selection");
  }
  return faults;
}

}  // namespace shardquant::solver
