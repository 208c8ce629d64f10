#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace shardquant::solver {

/// What is minimized over the selections within the budget; e = the error of a group's choice.
enum class Objective {
  sum,          ///< sum of e
  nll,          ///< - sum of log(1 - e)
  sum_squares,  ///< sum of e^2
  log,          ///< sum of log e
  minimax_sum,  ///< the largest e first, then the sum of e
  weighted,     ///< sum of weight * e
  kl,           ///< sum of weight * e^2
};

/// All objectives, the default first.
std::span<const Objective> all_objectives();

/// "sum", "nll", "sum_squares", "log", "minimax_sum", "weighted", "kl".
std::string_view objective_name(Objective objective);

/// The objective of that name; nothing for another name.
std::optional<Objective> objective_named(std::string_view name);

/// What an error adds to the objective; nothing where that is no finite number: nll of 1 or more,
/// log of 0 or less, anything of NaN. `weight` counts for `weighted` and `kl`.
std::optional<double> loss_of(Objective objective, double error, double weight = 1.0);

}  // namespace shardquant::solver
