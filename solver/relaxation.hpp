#pragma once

#include <cstdint>
#include <vector>

#include "solver/reduce_problem.hpp"
#include "solver/wide_integer.hpp"

namespace shardquant::solver::detail {

/// One edge of a class's lower convex hull: from a choice to the next better one.
struct HullEdge {
  double efficiency = 0.0;  ///< loss saved per bit, rounded; for sorting
  std::int64_t bits = 0;    ///< more bits, positive
  std::int64_t loss = 0;    ///< less loss, positive
  int group_class = 0;
};

/// Linear relaxation of a reduced problem, prepared for any capacity.
class Relaxation {
 public:
  explicit Relaxation(const ReducedProblem& problem);

  /// Loss per bit as a fraction in lowest terms; loss_part = 0 where the capacity binds nowhere.
  struct Multiplier {
    std::int64_t loss_part = 0;
    std::int64_t bits_part = 1;
  };

  /// The multiplier at the optimum of the relaxation: the slope of the edge at which the capacity
  /// runs out when edges are taken in order of efficiency.
  /// @param capacity  in ReducedProblem::bits_unit above the lightest selection, not negative
  Multiplier multiplier(std::int64_t capacity) const;

 private:
  std::vector<HullEdge> edges_;             // most efficient first
  std::vector<std::int64_t> bits_through_;  // all edges up to and with this one
};

}  // namespace shardquant::solver::detail
