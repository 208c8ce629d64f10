#include "solver/two_stage_rule.hpp"

#include <algorithm>
#include <limits>
#include <string>

namespace shardquant::solver {

namespace {

constexpr double kInterval = 1e-5;

// Least bpw with an error of at most `bound`, the first one on ties; -1 if there is none.
int cheapest_within(const std::vector<RuleOption>& options, double bound) {
  int best = -1;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const bool cheaper = best < 0 || options[i].bpw < options[best].bpw;
    if (options[i].error <= bound && cheaper) best = static_cast<int>(i);
  }
  return best;
}

// Least error of at least `bound` and below that of `current`; `current` if there is none.
int best_above(const std::vector<RuleOption>& options, double bound, int current) {
  int best = current;
  double best_error = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < options.size(); ++i) {
    const double error = options[i].error;
    if (error >= bound && error < options[current].error && error < best_error) {
      best = static_cast<int>(i);
      best_error = error;
    }
  }
  return best;
}

std::int64_t bits_of(const RuleProblem& problem, const std::vector<int>& choices) {
  std::int64_t bits = 0;
  for (std::size_t l = 0; l < choices.size(); ++l) bits += problem.layers[l][choices[l]].bits;
  return bits;
}

bool within_target(const RuleProblem& problem, const std::vector<int>& choices) {
  const double bpw =
      static_cast<double>(bits_of(problem, choices)) / static_cast<double>(problem.numel);
  return bpw <= problem.target_bpw;
}

double largest_error(const RuleProblem& problem) {
  double largest = 0.0;
  for (const auto& options : problem.layers) {
    for (const RuleOption& option : options) largest = std::max(largest, option.error);
  }
  return largest;
}

}  // namespace

RuleResult apply_two_stage_rule(const RuleProblem& problem) {
  if (problem.layers.empty()) throw RuleFailure("there is no layer");
  RuleResult result;
  std::vector<int> probe(problem.layers.size(), -1);

  double low = 0.0;
  double high = largest_error(problem);
  double bound = high;
  do {
    bound = (low + high) / 2;
    for (std::size_t l = 0; l < probe.size(); ++l) {
      probe[l] = cheapest_within(problem.layers[l], bound);
    }
    const bool possible = std::find(probe.begin(), probe.end(), -1) == probe.end();
    (possible && within_target(problem, probe) ? high : low) = bound;
  } while (high - low > kInterval);
  const auto without = std::find(probe.begin(), probe.end(), -1);
  if (without != probe.end()) {
    throw RuleFailure("the first stage ends at an error of " + std::to_string(bound) +
                      ", below every option of layer " + std::to_string(without - probe.begin()));
  }
  result.first_stage = probe;

  low = 0.0;
  high = bound;
  result.choices = result.first_stage;
  while (high - low > kInterval) {
    bound = (low + high) / 2;
    for (std::size_t l = 0; l < probe.size(); ++l) {
      result.choices[l] = best_above(problem.layers[l], bound, result.first_stage[l]);
    }
    (within_target(problem, result.choices) ? high : low) = bound;
  }
  result.total_bits = bits_of(problem, result.choices);
  return result;
}

}  // namespace shardquant::solver
