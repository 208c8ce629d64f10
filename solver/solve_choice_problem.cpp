#include "solver/solve_choice_problem.hpp"

#include <algorithm>
#include <cmath>

#include "solver/compensated_sum.hpp"
#include "solver/core_search.hpp"
#include "solver/known_optimum.hpp"
#include "solver/reduce_problem.hpp"
#include "solver/relaxation.hpp"

namespace shardquant::solver {

namespace {

constexpr std::int64_t kMostStates = std::int64_t{1} << 31;

using detail::ReducedProblem;
using detail::Wide;

void choose_positions(const ReducedProblem& reduced, const std::vector<std::vector<int>>& positions,
                      std::vector<int>& choices) {
  choices.resize(static_cast<std::size_t>(reduced.groups()));
  for (std::size_t c = 0; c < reduced.classes.size(); ++c) {
    const detail::GroupClass& group_class = reduced.classes[c];
    for (std::int64_t m = 0; m < group_class.size; ++m) {
      const int group = reduced.members[group_class.first_member + m];
      const std::size_t place = positions[c].size() == 1 ? 0 : static_cast<std::size_t>(m);
      choices[group] = reduced.choices[reduced.first[group] + positions[c][place]].index;
    }
  }
}

// Positions within each class: one for all its groups, or one per group.
std::vector<std::vector<int>> expand(const ReducedProblem& reduced,
                                     const detail::BaseSelection& base,
                                     const std::vector<detail::Deviation>& deviations) {
  std::vector<std::vector<int>> positions(reduced.classes.size());
  for (std::size_t c = 0; c < positions.size(); ++c) positions[c] = {base.positions[c]};
  std::vector<std::int64_t> moved(reduced.classes.size(), 0);
  for (const detail::Deviation& deviation : deviations) {
    auto& of_class = positions[deviation.group_class];
    const std::int64_t size = reduced.classes[deviation.group_class].size;
    if (of_class.size() == 1) of_class.assign(static_cast<std::size_t>(size), of_class.front());
    std::fill_n(of_class.begin() + moved[deviation.group_class], deviation.count,
                deviation.position);
    moved[deviation.group_class] += deviation.count;
  }
  return positions;
}

void set_totals(const ChoiceProblem& problem, Solution& solution) {
  CompensatedSum loss;
  solution.total_bits = 0;
  for (std::size_t g = 0; g < solution.choices.size(); ++g) {
    const Choice& choice = problem.groups[g][solution.choices[g]];
    solution.total_bits += choice.bits;
    loss.add(choice.loss);
  }
  solution.total_loss = loss.value();
}

double relative_gap(double value, double bound) {
  if (bound >= value) return 0.0;
  return value == 0.0 ? value - bound : (value - bound) / std::abs(value);
}

// Loss of a selection whose excess is `excess`: the Lagrangian bound for 0.
long double loss_at_excess(const ReducedProblem& reduced, const detail::BaseSelection& base,
                           detail::Relaxation::Multiplier multiplier, std::int64_t slack,
                           Wide excess) {
  const Wide change = excess - Wide{multiplier.loss_part} * slack;
  const auto units =
      static_cast<long double>(base.loss) + static_cast<long double>(change) / multiplier.bits_part;
  return reduced.least_loss + std::ldexp(units, -reduced.loss_exponent);
}

class Solver {
 public:
  Solver(const ChoiceProblem& problem, const Settings& settings)
      : problem_(problem),
        settings_(settings),
        reduced_(detail::reduce_problem(problem)),
        relaxation_(reduced_) {
    if (settings.known_optimum != nullptr) {
      known_counts_ = detail::count_choices(problem, reduced_, *settings.known_optimum);
    }
  }

  Solution solve(std::int64_t budget_bits) const;

 private:
  const ChoiceProblem& problem_;
  const Settings& settings_;
  const ReducedProblem reduced_;
  const detail::Relaxation relaxation_;
  detail::ClassCounts known_counts_;
};

Solution Solver::solve(std::int64_t budget_bits) const {
  Solution solution;
  if (budget_bits < reduced_.least_bits) {
    solution.total_bits = reduced_.least_bits;
    return solution;
  }
  const std::int64_t capacity = (budget_bits - reduced_.least_bits) / reduced_.bits_unit;
  const auto multiplier = relaxation_.multiplier(capacity);
  const auto base = detail::base_selection(reduced_, multiplier);
  const std::int64_t slack = capacity - base.bits;
  const long double bound = loss_at_excess(reduced_, base, multiplier, slack, 0);

  detail::SearchLimits limits;
  limits.tolerance = settings_.tolerance;
  limits.loss_without_excess = bound;
  limits.loss_per_excess = std::ldexp(1.0L, -reduced_.loss_exponent) / multiplier.bits_part;
  limits.max_states = std::min(settings_.max_states, kMostStates);
  const auto* known = settings_.known_optimum == nullptr ? nullptr : &known_counts_;
  const auto found = detail::search_core(reduced_, multiplier, base, capacity, limits, known);

  choose_positions(reduced_, expand(reduced_, base, found.deviations), solution.choices);
  set_totals(problem_, solution);
  solution.relaxation_bound = std::min(static_cast<double>(bound), solution.total_loss);
  solution.multiplier = std::ldexp(static_cast<double>(multiplier.loss_part) /
                                       static_cast<double>(multiplier.bits_part) /
                                       static_cast<double>(reduced_.bits_unit),
                                   -reduced_.loss_exponent);
  const bool tolerable = limits.good_enough(found.excess, found.proven);
  limits.tolerance = 0.0;
  if (limits.good_enough(found.excess, found.proven)) {
    solution.status = SolveStatus::proved;
    solution.lower_bound = solution.total_loss;
    return solution;
  }
  const long double proven = loss_at_excess(reduced_, base, multiplier, slack, found.proven);
  solution.lower_bound = std::min(static_cast<double>(proven), solution.total_loss);
  solution.gap = relative_gap(solution.total_loss, solution.lower_bound);
  solution.status = tolerable ? SolveStatus::within_tolerance : SolveStatus::stopped;
  return solution;
}

}  // namespace

Solution solve(const ChoiceProblem& problem, const Settings& settings) {
  return Solver(problem, settings).solve(problem.budget_bits);
}

}  // namespace shardquant::solver
