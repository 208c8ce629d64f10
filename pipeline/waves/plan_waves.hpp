#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "pipeline/model/model_layout.hpp"
#include "pipeline/waves/deal_groups.hpp"

namespace shardquant::waves {

/// Consecutive blocks whose Hessians are gathered and worked off before the forward pass goes on.
struct Wave {
  std::int64_t first_block = 0;
  std::int64_t end_block = 0;        ///< one beyond the last; the head counts as block `layers`
  std::vector<std::int64_t> groups;  ///< wanted Hessian groups, in module order
  std::vector<int> owners;           ///< rank that sums each of them: that of its first part
  std::vector<GroupPart> parts;      ///< who works off what, in the order of `groups`
};

/// Cuts the model into waves of as many blocks as there are ranks, so that each rank has about one
/// block's Hessians to hold whatever the size of model and cluster, and deals every wave's groups
/// out by cost (deal_groups), each for itself: ranks wait for each other where a wave ends. Pure.
/// wanted: by group index; waves after the last wanted group are left out (unless all_blocks).
/// first_block: where the forward pass begins.
std::vector<Wave> plan_waves(const model::ModelLayout& layout, const std::vector<bool>& wanted,
                             const std::function<GroupUnits(const model::HessianGroup&)>& units,
                             int ranks, bool all_blocks, std::int64_t first_block = 0);

}  // namespace shardquant::waves
