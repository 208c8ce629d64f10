#include "pipeline/allocation/objective_names.hpp"

#include "solver/objective.hpp"

namespace shardquant::allocation {

const std::vector<std::string>& objective_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const solver::Objective objective : solver::all_objectives()) {
      all.emplace_back(solver::objective_name(objective));
    }
    all.emplace_back(kRuleName);
    return all;
  }();
  return names;
}

}  // namespace shardquant::allocation
