#include "pipeline/allocation/allocate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pipeline/allocation/choice_groups.hpp"
#include "pipeline/failure.hpp"
#include "solver/check_solution.hpp"
#include "solver/compensated_sum.hpp"
#include "solver/objective.hpp"
#include "solver/solve_minimax.hpp"
#include "solver/two_stage_rule.hpp"

namespace shardquant::allocation {

namespace {

struct GroupedProblem {
  std::vector<ChoiceGroup> groups;
  solver::ChoiceProblem problem;
  std::vector<std::vector<double>> peaks;  // largest err of a choice
};

std::string_view status_name(solver::SolveStatus status) {
  switch (status) {
    case solver::SolveStatus::proved:
      return "proved";
    case solver::SolveStatus::within_tolerance:
      return "within_tolerance";
    case solver::SolveStatus::stopped:
      return "stopped";
    case solver::SolveStatus::infeasible:
      return "infeasible";
  }
  return "";
}

bool by_folder(const AllocationRequest& request) {
  return request.budget.kind == Budget::Kind::folder_bytes;
}

std::int64_t option_bits(const AllocationInput& input, const AllocationRequest& request, int layer,
                         int option) {
  if (by_folder(request)) return 8 * request.folder->layer_bytes[layer][option];
  return input.layers[layer].options[option].bits;
}

void check_folder(const AllocationInput& input, const AllocationRequest& request) {
  if (request.folder == nullptr) {
    if (!by_folder(request)) return;
    fail(ExitCode::config, "a budget in bytes of the folder needs the model (--model)");
  }
  bool fits = request.folder->layer_bytes.size() == input.layers.size();
  for (std::size_t l = 0; fits && l < input.layers.size(); ++l) {
    fits = request.folder->layer_bytes[l].size() == input.layers[l].options.size();
  }
  if (!fits) fail(ExitCode::internal, "sizes of the folder do not fit {}", input.name);
}

std::int64_t budget_of(const AllocationInput& input, const AllocationRequest& request) {
  if (!by_folder(request)) return budget_bits(request.budget, input);
  return 8 * (request.budget.amount - request.folder->fixed_bytes);
}

double option_loss(const AllocationInput& input, solver::Objective objective, int layer, int option,
                   double weight) {
  const AllocationOption& measured = input.layers[layer].options[option];
  const auto loss = solver::loss_of(objective, measured.err, weight);
  if (!loss) {
    fail(ExitCode::bad_data,
         "{}: layer {}, option {} (\"{}\"): err: {} has no finite value under the objective {}",
         input.name, input.layers[layer].key, option, measured.desc, measured.err,
         solver::objective_name(objective));
  }
  return *loss;
}

std::vector<double> sensitivities_of(const AllocationInput& input) {
  std::vector<double> weights;
  for (const AllocationLayer& layer : input.layers) {
    if (!layer.sensitivity) {
      fail(ExitCode::bad_data,
           "{}: layer {} has no sensitivity, which the objective kl needs; measure it (`shardquant "
           "measure` with sensitivity.rows above 0), or take the objective sum_squares",
           input.name, layer.key);
    }
    weights.push_back(*layer.sensitivity);
  }
  return weights;
}

std::vector<double> weights_of(const AllocationInput& input, const AllocationRequest& request) {
  if (!request.weights.empty()) return layer_weights(input, request.weights);
  if (request.objective == solver::objective_name(solver::Objective::kl)) {
    return sensitivities_of(input);
  }
  const std::int64_t numel = input.numel();
  std::vector<double> weights(input.layers.size(), 1.0);
  if (request.objective != "weighted") return weights;
  if (numel == 0) {
    fail(ExitCode::bad_data, "{}: does not tell the number of weights; give the weights of layers",
         input.name);
  }
  for (std::size_t l = 0; l < weights.size(); ++l) {
    weights[l] = static_cast<double>(input.layers[l].numel) / static_cast<double>(numel);
  }
  return weights;
}

GroupedProblem make_problem(const AllocationInput& input, const AllocationRequest& request,
                            solver::Objective objective) {
  GroupedProblem grouped;
  grouped.groups = choice_groups(input, request.constraints, request.ties);
  grouped.problem.budget_bits = budget_of(input, request);
  const std::vector<double> weights = weights_of(input, request);
  for (const ChoiceGroup& group : grouped.groups) {
    auto& choices = grouped.problem.groups.emplace_back();
    auto& peaks = grouped.peaks.emplace_back();
    for (const std::vector<int>& options : group.choices) {
      solver::Choice choice;
      double peak = 0.0;
      for (std::size_t m = 0; m < options.size(); ++m) {
        const int layer = group.layers[m];
        choice.bits += option_bits(input, request, layer, options[m]);
        choice.loss += option_loss(input, objective, layer, options[m], weights[layer]);
        peak = std::max(peak, input.layers[layer].options[options[m]].err);
      }
      choices.push_back(choice);
      peaks.push_back(peak);
    }
  }
  return grouped;
}

// The problem in which every choice above the peak is replaced by one within it.
solver::ChoiceProblem without_peaks(const GroupedProblem& grouped, double peak) {
  solver::ChoiceProblem problem = grouped.problem;
  for (std::size_t g = 0; g < problem.groups.size(); ++g) {
    const auto& peaks = grouped.peaks[g];
    const auto within =
        std::find_if(peaks.begin(), peaks.end(), [peak](double p) { return p <= peak; });
    const solver::Choice replacement = problem.groups[g][within - peaks.begin()];
    for (std::size_t i = 0; i < peaks.size(); ++i) {
      if (peaks[i] > peak) problem.groups[g][i] = replacement;
    }
  }
  return problem;
}

struct Reachable {
  std::int64_t least_bits = 0;
  std::int64_t most_bits = 0;
};

Reachable reachable(const solver::ChoiceProblem& problem) {
  Reachable range;
  for (const auto& group : problem.groups) {
    const auto [least, most] = std::minmax_element(
        group.begin(), group.end(),
        [](const solver::Choice& a, const solver::Choice& b) { return a.bits < b.bits; });
    range.least_bits += least->bits;
    range.most_bits += most->bits;
  }
  return range;
}

// The smallest round number of the budget's unit that is enough for this many bits.
std::string in_budget_unit(const AllocationInput& input, const AllocationRequest& request,
                           std::int64_t bits) {
  switch (request.budget.kind) {
    case Budget::Kind::bits:
      return fmt::format("{} bits", bits);
    case Budget::Kind::folder_bytes:
      return fmt::format("{} bytes", bits / 8 + request.folder->fixed_bytes);
    case Budget::Kind::bpw:
      break;
  }
  constexpr double kDigits = 1e6;
  const double bpw = static_cast<double>(bits) / static_cast<double>(input.numel());
  return fmt::format("{:.6f} bpw ({} bits)", std::ceil(bpw * kDigits) / kDigits, bits);
}

std::string asked_budget(const Budget& budget) {
  switch (budget.kind) {
    case Budget::Kind::bits:
      return fmt::format("{} bits", budget.amount);
    case Budget::Kind::folder_bytes:
      return fmt::format("{} bytes", budget.amount);
    case Budget::Kind::bpw:
      break;
  }
  return fmt::format("{} bpw", budget.bpw);
}

void require_reachable(const AllocationInput& input, const AllocationRequest& request,
                       const solver::ChoiceProblem& problem, records::Plan& plan) {
  const Reachable range = reachable(problem);
  if (problem.budget_bits < range.least_bits) {
    fail(ExitCode::config,
         "the budget of {} cannot be reached{}: the smallest reachable value is {}, the largest {}",
         asked_budget(request.budget), request.constraints.empty() ? "" : " under the constraints",
         in_budget_unit(input, request, range.least_bits),
         in_budget_unit(input, request, range.most_bits));
  }
  if (problem.budget_bits > range.most_bits) {
    plan.warnings.push_back(fmt::format("the budget of {} exceeds the largest reachable value, {}",
                                        asked_budget(request.budget),
                                        in_budget_unit(input, request, range.most_bits)));
  }
}

void require_sound(const solver::ChoiceProblem& problem, const solver::Solution& solution) {
  const std::vector<std::string> faults = solver::check_solution(problem, solution);
  if (!faults.empty()) {
    fail(ExitCode::internal, "the allocation fails its check: {}", fmt::join(faults, "; "));
  }
}

void fill_plan(const AllocationInput& input, const AllocationRequest& request,
               Allocation& allocation) {
  records::Plan& plan = allocation.plan;
  solver::CompensatedSum sum;
  std::int64_t layer_bytes = 0;
  for (std::size_t l = 0; l < input.layers.size(); ++l) {
    const AllocationLayer& layer = input.layers[l];
    const AllocationOption& option = layer.options[allocation.choices[l]];
    plan.layers.push_back({layer.key, option.desc, option.bits, option.err});
    plan.total_bits += option.bits;
    plan.max_err = std::max(plan.max_err, option.err);
    sum.add(option.err);
    if (request.folder != nullptr) {
      layer_bytes += request.folder->layer_bytes[l][allocation.choices[l]];
    }
  }
  plan.sum_err = sum.value();
  if (request.objective == kRuleName) plan.objective_value = plan.sum_err;
  plan.numel = input.numel();
  plan.objective = request.objective;
  for (const Constraint& constraint : request.constraints) {
    plan.constraints.push_back(constraint.text());
  }
  for (const LayerWeight& weight : request.weights) {
    plan.constraints.push_back(fmt::format("weight {}={}", weight.pattern, weight.weight));
  }
  if (request.folder != nullptr) {
    plan.stored_bits = 8 * layer_bytes;
    plan.folder_bytes = layer_bytes + request.folder->fixed_bytes;
  }
  if (by_folder(request)) plan.folder_budget_bytes = request.budget.amount;
}

void solve_exactly(const AllocationInput& input, const AllocationRequest& request,
                   solver::Objective objective, Allocation& allocation) {
  const GroupedProblem grouped = make_problem(input, request, objective);
  records::Plan& plan = allocation.plan;
  plan.budget_bits = grouped.problem.budget_bits;
  require_reachable(input, request, grouped.problem, plan);

  solver::Settings settings;
  settings.tolerance = request.tolerance;
  solver::Solution solution;
  if (objective == solver::Objective::minimax_sum) {
    auto minimax = solver::solve_minimax(grouped.problem, grouped.peaks, settings);
    require_sound(without_peaks(grouped, minimax.peak), minimax.solution);
    solution = std::move(minimax.solution);
  } else {
    solution = solver::solve(grouped.problem, settings);
    require_sound(grouped.problem, solution);
  }
  plan.status = status_name(solution.status);
  plan.objective_value = solution.total_loss;
  plan.lower_bound = solution.lower_bound;
  plan.gap = solution.gap;
  if (solution.status == solver::SolveStatus::stopped) {
    plan.warnings.push_back(fmt::format(
        "the proof was given up at a gap of {:.3g}; a tolerance would end it earlier", *plan.gap));
  }
  allocation.choices.assign(input.layers.size(), 0);
  for (std::size_t g = 0; g < grouped.groups.size(); ++g) {
    const ChoiceGroup& group = grouped.groups[g];
    const std::vector<int>& options = group.choices[solution.choices[g]];
    for (std::size_t m = 0; m < options.size(); ++m) {
      allocation.choices[group.layers[m]] = options[m];
    }
  }
}

solver::RuleProblem make_rule_problem(const AllocationInput& input,
                                      const AllocationRequest& request) {
  solver::RuleProblem problem;
  problem.numel = input.numel();
  if (request.budget.kind == Budget::Kind::folder_bytes || !request.constraints.empty() ||
      !request.ties.empty()) {
    fail(ExitCode::config, "the rule {} knows neither constraints nor a size of the folder",
         kRuleName);
  }
  if (problem.numel == 0) {
    fail(ExitCode::bad_data, "{}: does not tell the number of weights, which the rule {} needs",
         input.name, kRuleName);
  }
  problem.target_bpw =
      request.budget.kind == Budget::Kind::bpw
          ? request.budget.bpw
          : static_cast<double>(request.budget.amount) / static_cast<double>(problem.numel);
  for (const AllocationLayer& layer : input.layers) {
    auto& options = problem.layers.emplace_back();
    for (const AllocationOption& option : layer.options) {
      options.push_back({option.bpw, option.cut_bits, option.err});
    }
  }
  return problem;
}

void apply_rule(const AllocationInput& input, const AllocationRequest& request,
                Allocation& allocation) {
  const solver::RuleProblem problem = make_rule_problem(input, request);
  records::Plan& plan = allocation.plan;
  const GroupedProblem grouped = make_problem(input, request, solver::Objective::sum);
  plan.budget_bits = grouped.problem.budget_bits;
  require_reachable(input, request, grouped.problem, plan);
  solver::RuleResult result;
  try {
    result = solver::apply_two_stage_rule(problem);
  } catch (const solver::RuleFailure& failure) {
    fail(ExitCode::config, "{}: the rule {} finds no choice: {}", input.name, kRuleName,
         failure.what());
  }
  allocation.choices = std::move(result.choices);
  allocation.first_stage = std::move(result.first_stage);
  plan.status = "rule";
  if (result.total_bits > plan.budget_bits) {
    plan.warnings.push_back(
        fmt::format("the rule {} exceeds the budget, as it may: {:.6f} bpw for {:.6f}", kRuleName,
                    static_cast<double>(result.total_bits) / static_cast<double>(problem.numel),
                    problem.target_bpw));
  }
}

}  // namespace

Allocation allocate(const AllocationInput& input, const AllocationRequest& request) {
  check_folder(input, request);
  Allocation allocation;
  if (!request.weights.empty() && request.objective != "weighted") {
    fail(ExitCode::config, "weights of layers count for the objective weighted alone");
  }
  try {
    if (request.objective == kRuleName) {
      apply_rule(input, request, allocation);
    } else if (const auto objective = solver::objective_named(request.objective)) {
      solve_exactly(input, request, *objective, allocation);
    } else {
      fail(ExitCode::config, "objective {}: there is {}", request.objective,
           fmt::join(objective_names(), ", "));
    }
  } catch (const solver::InvalidProblem& error) {
    fail(ExitCode::bad_data, "{}: {}", input.name, error.what());
  }
  fill_plan(input, request, allocation);
  return allocation;
}

void add_recipes(const records::Measurement& measurement, records::Plan& plan) {
  for (std::size_t l = 0; l < plan.layers.size(); ++l) {
    for (const records::MeasuredOption& option : measurement.layers[l].options) {
      if (option.desc == plan.layers[l].desc) plan.recipes[option.desc] = option.qparams;
    }
  }
}

void mark_choices(const Allocation& allocation, records::Measurement& measurement) {
  const std::vector<int>& first_stage =
      allocation.first_stage.empty() ? allocation.choices : allocation.first_stage;
  for (std::size_t l = 0; l < measurement.layers.size(); ++l) {
    measurement.layers[l].best_option_max = first_stage[l];
    measurement.layers[l].best_option = allocation.choices[l];
  }
}

void mark_choices(const Allocation& allocation, records::Measurement2024& measurement) {
  std::vector<int> strategy;
  std::size_t layer = 0;
  for (const records::ModuleMeasurement& module : measurement.modules) {
    strategy.push_back(module.options.empty() ? 0 : allocation.choices[layer++]);
  }
  measurement.strategy = std::move(strategy);
}

}  // namespace shardquant::allocation
