#include "solver/objective.hpp"

#include <array>
#include <cmath>
#include <utility>

namespace shardquant::solver {

namespace {

constexpr std::array kObjectives = {Objective::sum, Objective::nll,         Objective::sum_squares,
                                    Objective::log, Objective::minimax_sum, Objective::weighted,
                                    Objective::kl};

}  // namespace

std::span<const Objective> all_objectives() {
  return kObjectives;
}

std::string_view objective_name(Objective objective) {
  switch (objective) {
    case Objective::sum:
      return "sum";
    case Objective::nll:
      return "nll";
    case Objective::sum_squares:
      return "sum_squares";
    case Objective::log:
      return "log";
    case Objective::minimax_sum:
      return "minimax_sum";
    case Objective::weighted:
      return "weighted";
    case Objective::kl:
      return "kl";
  }
  return "";
}

std::optional<Objective> objective_named(std::string_view name) {
  for (const Objective objective : kObjectives) {
    if (objective_name(objective) == name) return objective;
  }
  return std::nullopt;
}

std::optional<double> loss_of(Objective objective, double error, double weight) {
  double loss = error;
  switch (objective) {
    case Objective::sum:
    case Objective::minimax_sum:
      break;
    case Objective::nll:
      loss = -std::log1p(-error);
      break;
    case Objective::sum_squares:
      loss = error * error;
      break;
    case Objective::log:
      loss = std::log(error);
      break;
    case Objective::weighted:
      loss = weight * error;
      break;
    case Objective::kl:
      loss = weight * error * error;
      break;
  }
  if (!std::isfinite(loss)) return std::nullopt;
  return loss;
}

}  // namespace shardquant::solver
