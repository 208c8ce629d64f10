// Allocation side by side: the rule of 2023, two heuristics, two general solvers and the exact
// solver on one measurement. Usage: bench_solver MEASUREMENT [BPW [SECONDS]]
// SECONDS (60) is the time that GLPK and CBC get each; 0 leaves them out.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/frontier.hpp"
#include "pipeline/failure.hpp"
#include "solver/solve_choice_problem.hpp"
#include "tests/support/external_solver.hpp"

namespace {

using namespace shardquant;
using Selection = std::vector<int>;

double seconds_of(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

solver::ChoiceProblem problem_of(const allocation::AllocationInput& input, double bpw) {
  solver::ChoiceProblem problem;
  problem.budget_bits = allocation::budget_bits(allocation::Budget::bits_per_weight(bpw), input);
  for (const auto& layer : input.layers) {
    auto& group = problem.groups.emplace_back();
    for (const auto& option : layer.options) group.push_back({option.bits, option.err});
  }
  return problem;
}

int lightest(const std::vector<solver::Choice>& group) {
  const auto least = std::min_element(group.begin(), group.end(), [](const auto& a, const auto& b) {
    return a.bits != b.bits ? a.bits < b.bits : a.loss < b.loss;
  });
  return static_cast<int>(least - group.begin());
}

double loss_of(const solver::ChoiceProblem& problem, const Selection& choices) {
  double loss = 0.0;
  for (std::size_t g = 0; g < choices.size(); ++g) loss += problem.groups[g][choices[g]].loss;
  return loss;
}

std::int64_t bits_of(const solver::ChoiceProblem& problem, const Selection& choices) {
  std::int64_t bits = 0;
  for (std::size_t g = 0; g < choices.size(); ++g) bits += problem.groups[g][choices[g]].bits;
  return bits;
}

Selection all_lightest(const solver::ChoiceProblem& problem) {
  Selection choices;
  for (const auto& group : problem.groups) choices.push_back(lightest(group));
  return choices;
}

// From the lightest selection on, always the change of one group that saves most loss per bit.
Selection greedy(const solver::ChoiceProblem& problem) {
  Selection choices = all_lightest(problem);
  std::int64_t room = problem.budget_bits - bits_of(problem, choices);
  while (true) {
    double best = 0.0;
    std::size_t best_group = 0;
    int best_choice = -1;
    for (std::size_t g = 0; g < choices.size(); ++g) {
      const solver::Choice& now = problem.groups[g][choices[g]];
      for (std::size_t i = 0; i < problem.groups[g].size(); ++i) {
        const solver::Choice& next = problem.groups[g][i];
        const std::int64_t more = next.bits - now.bits;
        if (more <= 0 || more > room) continue;
        const double efficiency = (now.loss - next.loss) / static_cast<double>(more);
        if (efficiency <= best) continue;
        best = efficiency;
        best_group = g;
        best_choice = static_cast<int>(i);
      }
    }
    if (best_choice < 0) return choices;
    room -= problem.groups[best_group][best_choice].bits -
            problem.groups[best_group][choices[best_group]].bits;
    choices[best_group] = best_choice;
  }
}

struct Edge {
  std::size_t group = 0;
  int from = 0;
  int to = 0;
  double efficiency = 0.0;
};

void append_hull(const std::vector<solver::Choice>& group, std::size_t index,
                 std::vector<Edge>& edges) {
  int at = lightest(group);
  while (true) {
    Edge best{index, at, -1, 0.0};
    for (std::size_t i = 0; i < group.size(); ++i) {
      const auto more = static_cast<double>(group[i].bits - group[at].bits);
      const double saved = group[at].loss - group[i].loss;
      if (more > 0 && saved / more > best.efficiency) {
        best.to = static_cast<int>(i);
        best.efficiency = saved / more;
      }
    }
    if (best.to < 0) return;
    edges.push_back(best);
    at = best.to;
  }
}

// The linear relaxation's edges in order of efficiency; those that do not fit are left out.
Selection rounded_relaxation(const solver::ChoiceProblem& problem) {
  std::vector<Edge> edges;
  for (std::size_t g = 0; g < problem.groups.size(); ++g) append_hull(problem.groups[g], g, edges);
  std::stable_sort(edges.begin(), edges.end(),
                   [](const Edge& a, const Edge& b) { return a.efficiency > b.efficiency; });
  Selection choices = all_lightest(problem);
  std::int64_t room = problem.budget_bits - bits_of(problem, choices);
  for (const Edge& edge : edges) {
    const auto& group = problem.groups[edge.group];
    const std::int64_t more = group[edge.to].bits - group[edge.from].bits;
    if (choices[edge.group] != edge.from || more > room) continue;
    choices[edge.group] = edge.to;
    room -= more;
  }
  return choices;
}

void print_row(const std::string& name, double loss, double optimum, double seconds,
               const std::string& remark) {
  fmt::print("| {:<22} | {:>16.9f} | {:>+10.5f} % | {:>10.4f} | {} |\n", name, loss,
             100.0 * (loss - optimum) / optimum, seconds, remark);
}

void print_selection(const std::string& name, const solver::ChoiceProblem& problem, double optimum,
                     Selection (*heuristic)(const solver::ChoiceProblem&)) {
  Selection choices;
  const double seconds = seconds_of([&] { choices = heuristic(problem); });
  print_row(name, loss_of(problem, choices), optimum, seconds, "no bound");
}

void print_external(const std::string& name, const solver::ChoiceProblem& problem, double optimum,
                    int limit,
                    std::optional<tests::ExternalResult> (*solve)(const solver::ChoiceProblem&,
                                                                  int)) {
  if (limit == 0) return;
  std::optional<tests::ExternalResult> result;
  const double seconds = seconds_of([&] { result = solve(problem, limit); });
  if (!result) {
    fmt::print("| {:<22} | not installed, or nothing found in {} s\n", name, limit);
    return;
  }
  print_row(name, result->loss, optimum, seconds, result->proved ? "proved" : "not proved");
}

void compare(const allocation::AllocationInput& input, double bpw, int limit) {
  const solver::ChoiceProblem problem = problem_of(input, bpw);
  solver::Solution solution;
  const double exact_seconds = seconds_of([&] { solution = solver::solve(problem); });
  const double optimum = solution.total_loss;
  allocation::AllocationRequest rule;
  rule.budget = allocation::Budget::bits_per_weight(bpw);
  rule.objective = "exl2-2023";
  allocation::Allocation by_rule;
  const double rule_seconds = seconds_of([&] { by_rule = allocation::allocate(input, rule); });

  fmt::print("sum of err at {} bpw, {} groups\n\n", bpw, problem.groups.size());
  fmt::print("| allocator              |       sum of err | over optimum | seconds    | proof |\n");
  fmt::print("|---|---|---|---|---|\n");
  print_row("rule of 2023", by_rule.plan.sum_err, optimum, rule_seconds,
            fmt::format("no bound; {:.6f} bpw", by_rule.plan.bpw()));
  print_selection("greedy", problem, optimum, greedy);
  print_selection("relaxation, rounded", problem, optimum, rounded_relaxation);
  print_external(fmt::format("GLPK, {} s", limit), problem, optimum, limit, tests::solve_with_glpk);
  print_external(fmt::format("CBC, {} s", limit), problem, optimum, limit, tests::solve_with_cbc);
  print_row("exact", optimum, optimum, exact_seconds,
            fmt::format("proved, gap {:.2g}", solution.gap));
}

void time_objectives(allocation::AllocationInput input, double bpw) {
  for (allocation::AllocationLayer& layer : input.layers) layer.sensitivity = 1.0;
  fmt::print("\n| objective | value | milliseconds, best of 5 |\n|---|---|---|\n");
  for (const std::string& objective : allocation::objective_names()) {
    allocation::AllocationRequest request;
    request.budget = allocation::Budget::bits_per_weight(bpw);
    request.objective = objective;
    double best = HUGE_VAL;
    double value = 0.0;
    for (int run = 0; run < 5; ++run) {
      best = std::min(best, seconds_of([&] {
                        value = allocation::allocate(input, request).plan.objective_value;
                      }));
    }
    fmt::print("| {} | {:.9f} | {:.2f} |\n", objective, value, 1e3 * best);
  }
  std::vector<allocation::FrontierPoint> points;
  const double seconds = seconds_of([&] {
    points = allocation::allocate_frontier(input, {}, allocation::parse_frontier("2.2:6.0:0.1"));
  });
  fmt::print("\nfrontier 2.2 to 6.0: {} points in {:.3f} s\n", points.size(), seconds);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_solver MEASUREMENT [BPW [SECONDS]]\n");
    return static_cast<int>(ExitCode::usage);
  }
  const double bpw = argc > 2 ? std::atof(argv[2]) : 2.4;
  const int limit = argc > 3 ? std::atoi(argv[3]) : 60;
  try {
    const auto input =
        allocation::allocation_input(records::read_measurement_2023(argv[1]), argv[1]);
    compare(input, bpw, limit);
    time_objectives(input, bpw);
  } catch (const Failure& failure) {
    fmt::print(stderr, "bench_solver: {}\n", failure.what());
    return static_cast<int>(failure.code());
  }
  return 0;
}
