#pragma once

#include <string>
#include <vector>

#include "solver/choice_problem.hpp"
#include "solver/solve_choice_problem.hpp"

namespace shardquant::solver {

/// Recomputes what a solution claims from the problem alone, sharing no code with the solver:
/// - one existing choice per group, totals of bits and loss, bits within the budget;
/// - the Lagrangian bound at the solution's multiplier, which holds for any multiplier, is not
///   above the bound of the relaxation, that not above the claimed bound, and that not above the
///   loss;
/// - status and gap agree with the two;
/// - no single change of one group that fits the budget is an improvement;
/// - if infeasible: the lightest selection exceeds the budget.
/// Returns what does not hold, in words; empty if all does.
std::vector<std::string> check_solution(const ChoiceProblem& problem, const Solution& solution);

}  // namespace shardquant::solver
