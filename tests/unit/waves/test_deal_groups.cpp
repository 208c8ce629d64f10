#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/families/families.hpp"
#include "pipeline/waves/deal_groups.hpp"

namespace shardquant::waves {
namespace {

model::ModelLayout layout_of(std::int64_t layers, std::int64_t hidden, std::int64_t ffn) {
  model::ModelDescription description;
  description.family = model::find_family("LlamaForCausalLM");
  description.layers = layers;
  description.hidden_size = hidden;
  description.intermediate_size = ffn;
  description.heads = hidden / 128;
  description.kv_heads = 8;
  description.head_dim = 128;
  description.vocab_size = 512;
  description.windows.assign(static_cast<std::size_t>(layers), 0);
  return model::lay_out_model(description);
}

std::vector<GroupUnits> units_of(const model::ModelLayout& layout) {
  std::vector<GroupUnits> units;
  for (const model::HessianGroup& group : layout.groups) {
    units.push_back(measure_units(layout, group, exl2::exl2_format()));
  }
  return units;
}

std::vector<double> loads(const std::vector<GroupPart>& parts, int ranks) {
  std::vector<double> load(static_cast<std::size_t>(ranks));
  for (const GroupPart& part : parts) load[static_cast<std::size_t>(part.rank)] += part.cost;
  return load;
}

double balance(const std::vector<GroupPart>& parts, int ranks) {
  const auto load = loads(parts, ranks);
  double sum = 0.0;
  for (const double value : load) sum += value;
  return sum / ranks / *std::max_element(load.begin(), load.end());
}

TEST(DealGroups, EveryUnitOnceWithTheCostOfItsRun) {
  const auto units = units_of(layout_of(3, 1024, 3072));
  for (const int ranks : {1, 2, 3, 7, 12, 40, 200}) {
    std::int64_t next = 0;
    std::size_t group = 0;
    for (const GroupPart& part : deal_groups(units, ranks)) {
      if (next == units[group].count()) {
        ++group;
        next = 0;
      }
      ASSERT_EQ(part.group, units[group].group);
      ASSERT_EQ(part.first, next);
      ASSERT_GT(part.end, part.first);
      EXPECT_GE(part.rank, 0);
      EXPECT_LT(part.rank, ranks);
      EXPECT_NEAR(part.cost, operations_of(units[group].work(part.first, part.end)),
                  1e-9 * part.cost);
      next = part.end;
    }
    EXPECT_EQ(group + 1, units.size());
    EXPECT_EQ(next, units.back().count());
  }
}

TEST(DealGroups, WholeGroupsWhereTheyFallEvenly) {
  const auto units = units_of(layout_of(8, 1024, 3072));
  const auto parts = deal_groups(units, 8);
  EXPECT_EQ(parts.size(), units.size());
  EXPECT_GE(balance(parts, 8), 0.95);
}

// Llama-3.1-405B on 1024 ranks: 504 groups of very different cost.
TEST(DealGroups, CutsGroupsForMoreRanksThanGroups) {
  const auto units = units_of(layout_of(126, 16384, 53248));
  EXPECT_GE(balance(deal_groups(units, 64), 64), 0.95);
  const auto parts = deal_groups(units, 1024);
  EXPECT_GT(parts.size(), 1024u);
  EXPECT_GE(balance(parts, 1024), 0.85);
}

TEST(DealGroups, WhatIsDoneCostsNothingAndIsInNoLayersOptions) {
  const auto layout = layout_of(1, 1024, 3072);
  const weights::WeightFormat& format = exl2::exl2_format();
  const auto options = static_cast<std::size_t>(format.option_count());
  std::vector<bool> wanted(layout.linear_layers.size() * options, true);
  for (std::size_t o = 0; o < options; ++o) wanted[o] = o == 3 || o == 20;  // of q
  const GroupUnits units = measure_units(layout, layout.groups[0], format, wanted);
  const GroupUnits all = measure_units(layout, layout.groups[0], format);
  const auto pieces = layer_options(units, 0, units.count());
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0], (LayerOptions{0, {3, 20}}));
  EXPECT_EQ(pieces[1].options.size(), options);
  EXPECT_LT(operations_of(units.work(0, units.count())), operations_of(all.work(0, all.count())));
  EXPECT_EQ(operations_of(all.work(5, 5)), 0.0);
}

// Options that begin alike share what they begin with; cut apart they do it twice.
TEST(DealGroups, RunsOfUnitsCostMoreThanTheWhole) {
  const auto layout = layout_of(1, 1024, 3072);
  const GroupUnits units = measure_units(layout, layout.groups[3], exl2::exl2_format());
  const double whole = operations_of(units.work(0, 24));
  const double halves = operations_of(units.work(0, 12)) + operations_of(units.work(12, 24));
  EXPECT_GT(halves, whole);
  EXPECT_LT(halves, 1.3 * whole);
  double each = 0.0;
  for (std::int64_t u = 0; u < 24; ++u) each += operations_of(units.work(u, u + 1));
  EXPECT_GT(each, 1.5 * whole);
}

}  // namespace
}  // namespace shardquant::waves
