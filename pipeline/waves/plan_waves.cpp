#include "pipeline/waves/plan_waves.hpp"

#include <algorithm>

namespace shardquant::waves {

std::vector<Wave> plan_waves(const model::ModelLayout& layout, const std::vector<bool>& wanted,
                             const std::function<GroupUnits(const model::HessianGroup&)>& units,
                             int ranks, bool all_blocks, std::int64_t first_block) {
  std::int64_t end_block = all_blocks ? layout.head().block + 1 : 0;
  for (const model::HessianGroup& group : layout.groups) {
    if (wanted[static_cast<std::size_t>(group.index)]) {
      end_block = std::max(end_block, group.block + 1);
    }
  }
  std::vector<Wave> waves;
  for (std::int64_t first = first_block; first < end_block; first += ranks) {
    Wave wave;
    wave.first_block = first;
    wave.end_block = std::min<std::int64_t>(first + ranks, end_block);
    std::vector<GroupUnits> to_deal;
    for (const model::HessianGroup& group : layout.groups) {
      const bool inside = group.block >= wave.first_block && group.block < wave.end_block;
      if (!inside || !wanted[static_cast<std::size_t>(group.index)]) continue;
      wave.groups.push_back(group.index);
      to_deal.push_back(units(group));
    }
    wave.parts = deal_groups(to_deal, ranks);
    for (const GroupPart& part : wave.parts) {
      if (part.first == 0) wave.owners.push_back(part.rank);
    }
    waves.push_back(std::move(wave));
  }
  return waves;
}

}  // namespace shardquant::waves
