#include "pipeline/waves/plan_waves.hpp"

#include <algorithm>

namespace shardquant::waves {

std::vector<Wave> plan_waves(const model::ModelLayout& layout, const WaveRequest& request,
                             int ranks) {
  const auto is_wanted = [&](const model::HessianGroup& group) {
    return request.wanted[static_cast<std::size_t>(group.index)];
  };
  std::int64_t end_block = request.all_blocks ? layout.head().block + 1 : 0;
  for (const model::HessianGroup& group : layout.groups) {
    if (is_wanted(group)) end_block = std::max(end_block, group.block + 1);
  }
  const std::int64_t blocks = request.wave_blocks > 0 ? request.wave_blocks : ranks;
  std::vector<Wave> waves;
  for (std::int64_t first = request.first_block; first < end_block; first += blocks) {
    Wave wave;
    wave.first_block = first;
    wave.end_block = std::min(first + blocks, end_block);
    std::vector<GroupUnits> to_deal;
    for (const model::HessianGroup& group : layout.groups) {
      const bool inside = group.block >= wave.first_block && group.block < wave.end_block;
      if (!inside || !is_wanted(group)) continue;
      wave.groups.push_back(group.index);
      to_deal.push_back(request.units(group));
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
