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

/// What is to be had of the waves of a forward pass.
struct WaveRequest {
  std::vector<bool> wanted;                                     ///< by group index
  std::function<GroupUnits(const model::HessianGroup&)> units;  ///< of working a group off
  bool all_blocks = false;       ///< else waves after the last wanted group are left out
  std::int64_t first_block = 0;  ///< where the forward pass begins
  /// Blocks of a wave; 0: as many as there are ranks, so that each has about one block's Hessians
  /// to hold whatever the size of model and cluster.
  std::int64_t wave_blocks = 0;
};

/// Cuts the model into waves and deals every wave's groups out by cost (deal_groups), each for
/// itself: ranks wait for each other where a wave ends. Pure.
std::vector<Wave> plan_waves(const model::ModelLayout& layout, const WaveRequest& request,
                             int ranks);

}  // namespace shardquant::waves
