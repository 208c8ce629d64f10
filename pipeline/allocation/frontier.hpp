#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/allocation/allocate.hpp"

namespace shardquant::allocation {

/// "2.2:6.0:0.1" as the values 2.2, 2.3, ..., 6.0; each is the double nearest to its decimal.
/// @throws Failure 78 for another form, a step of 0 or less, or more than 10,000 values
std::vector<double> parse_frontier(std::string_view text);

/// What the best allocation of one budget comes to.
struct FrontierPoint {
  double asked_bpw = 0.0;
  records::Plan plan;  ///< without recipes
};

/// Allocates at every value; request.budget is not used. @throws Failure as allocate
std::vector<FrontierPoint> allocate_frontier(const AllocationInput& input,
                                             const AllocationRequest& request,
                                             const std::vector<double>& bpw);

/// The points without their choices, one object a line.
std::string frontier_json(const std::vector<FrontierPoint>& points, const std::string& objective,
                          const std::string& measurement_hash);

/// The same as a table with a header line.
std::string frontier_csv(const std::vector<FrontierPoint>& points);

}  // namespace shardquant::allocation
