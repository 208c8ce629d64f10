#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/families/families.hpp"
#include "pipeline/waves/plan_waves.hpp"
#include "pipeline/waves/work_cost.hpp"

namespace shardquant::waves {
namespace {

model::ModelLayout layout_of(std::int64_t layers) {
  model::ModelDescription description;
  description.family = model::find_family("LlamaForCausalLM");
  description.layers = layers;
  description.hidden_size = 256;
  description.intermediate_size = 768;
  description.heads = 8;
  description.kv_heads = 4;
  description.head_dim = 32;
  description.vocab_size = 512;
  description.windows.assign(static_cast<std::size_t>(layers), 0);
  return model::lay_out_model(description);
}

TEST(PlanWaves, EveryWantedGroupOnceInModuleOrderWithAnOwner) {
  const auto layout = layout_of(7);
  const auto units = [&](const auto& group) {
    return measure_units(layout, group, exl2::exl2_format());
  };
  std::vector<bool> wanted(layout.groups.size(), true);
  wanted[3] = wanted[9] = false;
  for (const int ranks : {1, 2, 3, 5, 16}) {
    std::vector<std::int64_t> seen;
    std::int64_t block = 0;
    for (const Wave& wave : plan_waves(layout, {wanted, units}, ranks)) {
      EXPECT_EQ(wave.first_block, block);
      EXPECT_LE(wave.end_block - wave.first_block, ranks);
      block = wave.end_block;
      ASSERT_EQ(wave.groups.size(), wave.owners.size());
      for (std::size_t i = 0; i < wave.groups.size(); ++i) {
        EXPECT_GE(wave.owners[i], 0);
        EXPECT_LT(wave.owners[i], ranks);
        seen.push_back(wave.groups[i]);
      }
    }
    EXPECT_EQ(block, 8);  // seven blocks and the head
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.size(), layout.groups.size() - 2);
  }
}

TEST(PlanWaves, StopsBehindTheLastWantedGroupUnlessAskedForAllBlocks) {
  const auto layout = layout_of(6);
  const auto units = [&](const auto& group) {
    return measure_units(layout, group, exl2::exl2_format());
  };
  std::vector<bool> wanted(layout.groups.size(), false);
  wanted[4 * 2] = true;
  EXPECT_EQ(plan_waves(layout, {wanted, units}, 2).back().end_block, 3);
  EXPECT_EQ(plan_waves(layout, {wanted, units, true}, 2).back().end_block, 7);
  wanted.assign(wanted.size(), false);
  EXPECT_TRUE(plan_waves(layout, {wanted, units}, 2).empty());
}

TEST(PlanWaves, HaveAsManyBlocksAsAskedForFromTheFirstOneOn) {
  const auto layout = layout_of(7);
  const auto units = [&](const auto& group) {
    return measure_units(layout, group, exl2::exl2_format());
  };
  WaveRequest request{std::vector<bool>(layout.groups.size(), true), units};
  request.first_block = 1;
  request.wave_blocks = 3;
  const auto waves = plan_waves(layout, request, 2);
  ASSERT_EQ(waves.size(), 3u);
  EXPECT_EQ(waves[0].first_block, 1);
  EXPECT_EQ(waves[0].groups.front(), 4);
  EXPECT_EQ(waves[1].first_block, 4);
  EXPECT_EQ(waves[2].end_block, 8) << "the head is behind the last block";
}

TEST(PlanWaves, LoadsOverAllWavesAreEven) {
  const auto layout = layout_of(24);
  const auto units = [&](const auto& group) {
    return measure_units(layout, group, exl2::exl2_format());
  };
  const std::vector<bool> wanted(layout.groups.size(), true);
  for (const int ranks : {2, 4, 8}) {
    std::vector<double> load(static_cast<std::size_t>(ranks));
    for (const Wave& wave : plan_waves(layout, {wanted, units}, ranks)) {
      for (const GroupPart& part : wave.parts) {
        load[static_cast<std::size_t>(part.rank)] += part.cost;
      }
    }
    double sum = 0.0;
    for (const double value : load) sum += value;
    EXPECT_GE(sum / ranks / *std::max_element(load.begin(), load.end()), 0.95) << ranks;
  }
}

}  // namespace
}  // namespace shardquant::waves
