#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/waves/work_cost.hpp"

namespace shardquant::waves {

/// A run of units of one group and the rank that works it off.
struct GroupPart {
  std::int64_t group = 0;
  std::int64_t first = 0;  ///< unit
  std::int64_t end = 0;    ///< one beyond the last unit
  int rank = 0;
  double cost = 0.0;  ///< operations_of its work
};

/// Deals groups out over the ranks, so that the one with most has little. Whole groups first
/// (comm::assign_work); where that leaves one rank with clearly more than the others, as it does
/// with more ranks than groups, groups are cut between units. Every unit of every group is in one
/// part; parts are in the order of the groups given, then of units. Pure: every rank finds the
/// same, and so does a plan for imagined ranks.
std::vector<GroupPart> deal_groups(std::span<const GroupUnits> groups, int ranks);

}  // namespace shardquant::waves
