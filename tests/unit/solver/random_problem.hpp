#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include "solver/choice_problem.hpp"

namespace shardquant::tests {

/// Kinds of instances; each one is hard for another part of a solver.
enum class ProblemKind {
  unrelated,  ///< bits and losses drawn independently
  tradeoff,   ///< losses fall with bits, with noise: what measurements look like
  ties,       ///< small integers: many equal bits and losses
  on_a_line,  ///< all choices lie on one line: the relaxation tells nothing
  copies,     ///< few distinct groups, each several times
  huge,       ///< bits beyond 2^43 in total, losses over 12 orders of magnitude
  count,
};

class RandomProblems {
 public:
  explicit RandomProblems(std::uint64_t seed) : random_(seed) {}

  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  double real() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double normal() {
    return std::sqrt(-2.0 * std::log(1.0 - real())) * std::cos(6.283185307179586 * real());
  }

  /// An instance with exactly `groups` groups of at most `options` choices; the budget lies between
  /// the lightest and the heaviest selection, now and then at one of them.
  solver::ChoiceProblem next(ProblemKind kind, int groups, int options) {
    solver::ChoiceProblem problem;
    for (int g = 0; g < groups; ++g) {
      const bool copy = kind == ProblemKind::copies && g > 0 && integer(0, 3) > 0;
      problem.groups.push_back(copy ? problem.groups[integer(0, g - 1)]
                                    : group(kind, static_cast<int>(integer(1, options))));
    }
    problem.budget_bits = budget(problem);
    return problem;
  }

 private:
  std::vector<solver::Choice> group(ProblemKind kind, int options) {
    std::vector<solver::Choice> choices;
    for (int i = 0; i < options; ++i) choices.push_back(choice(kind));
    return choices;
  }

  solver::Choice choice(ProblemKind kind) {
    switch (kind) {
      case ProblemKind::ties:
        return {integer(0, 6), static_cast<double>(integer(0, 5))};
      case ProblemKind::on_a_line: {
        const std::int64_t bits = integer(0, 1000);
        return {bits, 2000.0 - static_cast<double>(bits)};
      }
      case ProblemKind::huge:
        return {integer(0, std::int64_t{1} << 44), std::exp(27.0 * real())};
      case ProblemKind::tradeoff: {
        const std::int64_t bits = integer(2, 9);
        return {512 * bits, std::exp(-0.7 * static_cast<double>(bits) + 0.5 * normal())};
      }
      default:
        return {integer(1, 100000), real() - 0.3};
    }
  }

  std::int64_t budget(const solver::ChoiceProblem& problem) {
    std::int64_t least = 0;
    std::int64_t most = 0;
    for (const auto& choices : problem.groups) {
      std::int64_t low = choices.front().bits;
      std::int64_t high = low;
      for (const solver::Choice& choice : choices) {
        low = std::min(low, choice.bits);
        high = std::max(high, choice.bits);
      }
      least += low;
      most += high;
    }
    const std::int64_t where = integer(0, 19);
    if (where == 0) return least;
    if (where == 1) return most;
    return integer(least, most);
  }

  std::mt19937_64 random_;
};

}  // namespace shardquant::tests
