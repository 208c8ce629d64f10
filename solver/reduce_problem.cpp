#include "solver/reduce_problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "solver/compensated_sum.hpp"
#include "solver/solve_choice_problem.hpp"

namespace shardquant::solver::detail {

namespace {

// Twice as much still fits, so sums of what can be added and what is there do not overflow.
constexpr std::int64_t kMaxTotalBits = std::int64_t{1} << 60;
constexpr int kLossBits = 61;  // all losses together stay below 2^61 units, rounding included 2^62

[[noreturn]] void refuse(std::size_t group, const std::string& reason) {
  throw InvalidProblem("group " + std::to_string(group) + ": " + reason);
}

struct Ranges {
  double loss_range = 0.0;         // sum over groups of (largest - least) loss
  std::vector<double> least_loss;  // per group
};

Ranges check(const ChoiceProblem& problem) {
  if (problem.groups.size() > std::numeric_limits<std::int32_t>::max()) {
    throw InvalidProblem("too many groups");
  }
  Ranges ranges;
  ranges.least_loss.reserve(problem.groups.size());
  std::int64_t total_bits = 0;
  for (std::size_t g = 0; g < problem.groups.size(); ++g) {
    const auto& group = problem.groups[g];
    if (group.empty()) refuse(g, "has no choice");
    std::int64_t most_bits = 0;
    double least = group.front().loss;
    double most = least;
    for (const Choice& choice : group) {
      if (!std::isfinite(choice.loss)) refuse(g, "has a loss that is not finite");
      if (choice.bits < 0) refuse(g, "has a choice of negative bits");
      most_bits = std::max(most_bits, choice.bits);
      least = std::min(least, choice.loss);
      most = std::max(most, choice.loss);
    }
    if (most_bits > kMaxTotalBits - total_bits) refuse(g, "takes the bits of all groups past 2^60");
    total_bits += most_bits;
    ranges.least_loss.push_back(least);
    ranges.loss_range += most - least;
  }
  if (!std::isfinite(ranges.loss_range)) throw InvalidProblem("losses lie too far apart");
  return ranges;
}

// Replaces `group` by its undominated choices, bits rising and losses falling strictly.
void remove_dominated(std::vector<ReducedChoice>& group) {
  std::sort(group.begin(), group.end(), [](const ReducedChoice& a, const ReducedChoice& b) {
    if (a.bits != b.bits) return a.bits < b.bits;
    if (a.loss != b.loss) return a.loss < b.loss;
    return a.index < b.index;
  });
  std::size_t kept = 0;
  for (const ReducedChoice& choice : group) {
    if (kept == 0 || choice.loss < group[kept - 1].loss) group[kept++] = choice;
  }
  group.resize(kept);
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 29);
}

bool equal_choices(const ReducedProblem& problem, int a, int b) {
  return std::equal(
      problem.choices.begin() + problem.first[a], problem.choices.begin() + problem.first[a + 1],
      problem.choices.begin() + problem.first[b], problem.choices.begin() + problem.first[b + 1],
      [](const ReducedChoice& x, const ReducedChoice& y) {
        return x.bits == y.bits && x.loss == y.loss;
      });
}

void collect_classes(ReducedProblem& problem) {
  const auto groups = static_cast<int>(problem.groups());
  std::vector<std::pair<std::uint64_t, int>> order;
  order.reserve(groups);
  for (int g = 0; g < groups; ++g) {
    std::uint64_t hash = 0;
    for (std::int64_t i = problem.first[g]; i < problem.first[g + 1]; ++i) {
      hash = mix(mix(hash, static_cast<std::uint64_t>(problem.choices[i].bits)),
                 static_cast<std::uint64_t>(problem.choices[i].loss));
    }
    order.emplace_back(hash, g);
  }
  std::sort(order.begin(), order.end());

  // class_of[g] = the first group with the same choices.
  std::vector<int> class_of(groups);
  std::vector<int> candidates;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || order[i].first != order[i - 1].first) candidates.clear();
    const int group = order[i].second;
    const auto same = std::find_if(candidates.begin(), candidates.end(), [&](int candidate) {
      return equal_choices(problem, candidate, group);
    });
    class_of[group] = same == candidates.end() ? group : *same;
    if (class_of[group] == group) candidates.push_back(group);
  }

  std::vector<std::int64_t> class_index(groups, -1);
  for (int g = 0; g < groups; ++g) {
    if (class_of[g] == g) {
      class_index[g] = static_cast<std::int64_t>(problem.classes.size());
      problem.classes.push_back({g, 0, 0});
    }
    ++problem.classes[class_index[class_of[g]]].size;
  }
  std::int64_t position = 0;
  for (GroupClass& group_class : problem.classes) {
    group_class.first_member = position;
    position += group_class.size;
  }
  problem.members.resize(groups);
  std::vector<std::int64_t> filled(problem.classes.size(), 0);
  for (int g = 0; g < groups; ++g) {
    const std::int64_t c = class_index[class_of[g]];
    problem.members[problem.classes[c].first_member + filled[c]++] = g;
  }
}

void divide_bits_by_unit(ReducedProblem& problem) {
  std::int64_t unit = 0;
  for (const ReducedChoice& choice : problem.choices) unit = std::gcd(unit, choice.bits);
  problem.bits_unit = std::max<std::int64_t>(unit, 1);
  for (ReducedChoice& choice : problem.choices) choice.bits /= problem.bits_unit;
}

}  // namespace

ReducedProblem reduce_problem(const ChoiceProblem& problem) {
  const Ranges ranges = check(problem);
  ReducedProblem reduced;
  int exponent_of_range = 0;
  if (ranges.loss_range > 0.0) std::frexp(ranges.loss_range, &exponent_of_range);
  reduced.loss_exponent = kLossBits - exponent_of_range;

  std::vector<ReducedChoice> group;
  CompensatedSum least_loss;
  reduced.first.push_back(0);
  for (std::size_t g = 0; g < problem.groups.size(); ++g) {
    group.clear();
    for (std::size_t i = 0; i < problem.groups[g].size(); ++i) {
      const Choice& choice = problem.groups[g][i];
      const double loss = std::ldexp(choice.loss - ranges.least_loss[g], reduced.loss_exponent);
      group.push_back({choice.bits, std::llrint(loss), static_cast<int>(i)});
    }
    remove_dominated(group);
    const std::int64_t lightest = group.front().bits;
    for (ReducedChoice& choice : group) choice.bits -= lightest;
    reduced.least_bits += lightest;
    least_loss.add(ranges.least_loss[g]);
    reduced.choices.insert(reduced.choices.end(), group.begin(), group.end());
    reduced.first.push_back(static_cast<std::int64_t>(reduced.choices.size()));
  }
  reduced.least_loss = least_loss.value();
  divide_bits_by_unit(reduced);
  collect_classes(reduced);
  return reduced;
}

}  // namespace shardquant::solver::detail
