#include "solver/two_stage_rule.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shardquant::solver {

namespace {

constexpr double kInterval = 1e-5;
// A probe that misses the target also raises the upper end by this, so the bisection can leave
// the interval that it began with.
constexpr double kRaise = 1e-4;
constexpr int kMaxProbes = 100'000;

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

// Fills `probe` with the choice of the last probe; returns the bound that the second stage begins
// from.
double first_stage(const RuleProblem& problem, std::vector<int>& probe) {
  probe.assign(problem.layers.size(), -1);
  double low = 0.0;
  double high = largest_error(problem);
  double bound = high;
  double least_bound = std::numeric_limits<double>::infinity();
  bool possible = false;
  for (int probes = 0; probes == 0 || high - low > kInterval || !possible; ++probes) {
    if (probes == kMaxProbes) throw RuleFailure("no error bound was found that meets the target");
    bound = (low + high) / 2;
    for (std::size_t l = 0; l < probe.size(); ++l) {
      probe[l] = cheapest_within(problem.layers[l], bound);
    }
    possible = std::find(probe.begin(), probe.end(), -1) == probe.end();
    if (possible && within_target(problem, probe)) {
      least_bound = std::min(least_bound, bound);
      high = bound;
    } else {
      low = bound;
      high += kRaise;
    }
  }
  return std::isfinite(least_bound) ? std::max(bound, least_bound) : bound;
}

std::vector<int> second_stage(const RuleProblem& problem, const std::vector<int>& first,
                              double high) {
  std::vector<int> probe = first;
  double low = 0.0;
  while (high - low > kInterval) {
    const double bound = (low + high) / 2;
    for (std::size_t l = 0; l < probe.size(); ++l) {
      probe[l] = best_above(problem.layers[l], bound, first[l]);
    }
    (within_target(problem, probe) ? high : low) = bound;
  }
  return probe;
}

}  // namespace

RuleResult apply_two_stage_rule(const RuleProblem& problem) {
  if (problem.layers.empty()) throw RuleFailure("there is no layer");
  RuleResult result;
  const double last_bound = first_stage(problem, result.first_stage);
  result.choices = second_stage(problem, result.first_stage, last_bound);
  result.total_bits = bits_of(problem, result.choices);
  return result;
}

}  // namespace shardquant::solver
