#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/support/shared_data.hpp"

namespace shardquant::exl2 {
namespace {

std::vector<int> groups_per_width(const QuantOption& option, std::int64_t rows) {
  std::vector<int> counts(option.bits.size());
  std::size_t section = 0;
  for (const kernels::RowGroup& group : cut_into_groups(option, rows)) {
    while (option.bits[section] != group.bits) ++section;
    ++counts[section];
  }
  return counts;
}

TEST(QuantOption, DescribesAsThe2023FileDoes) {
  EXPECT_EQ(describe(exl2_2023_options()[0]), "0.05:3b/0.95:2b 32g s4");
  EXPECT_EQ(describe(exl2_2023_options()[6]), "1.0:3b 128g s4");
  EXPECT_EQ(describe(exl2_2023_options()[19]), "0.1:8b/0.3:6b/0.6:5b 32g s4");
}

TEST(QuantOption, CutsRowsAsTheReferenceDoes) {
  // K = 8192: g128 = 64, round(3.2) = 3 blocks of 128 rows = 12 groups of 32 rows at 3 bits.
  EXPECT_EQ(groups_per_width(exl2_2023_options()[0], 8192), (std::vector<int>{12, 244}));
  // K = 512: g128 = 4, round(0.2) = 0 is raised to 1.
  EXPECT_EQ(groups_per_width(exl2_2023_options()[0], 512), (std::vector<int>{4, 12}));
  // Halves round to even: 0.25 * 128-blocks of K = 1280 is 2.5 -> 2.
  EXPECT_EQ(groups_per_width(exl2_2023_options()[1], 1280), (std::vector<int>{8, 32}));
}

TEST(QuantOption, GroupsCoverAllRowsOnceWidestFirst) {
  for (const QuantOption& option : exl2_2023_options()) {
    for (std::int64_t rows = 32; rows <= 2048; rows += 32) {
      const auto groups = cut_into_groups(option, rows);
      std::int64_t row = 0;
      for (std::size_t i = 0; i < groups.size(); ++i) {
        EXPECT_EQ(groups[i].first_row, row);
        EXPECT_EQ(groups[i].rows % 32, 0) << describe(option) << " rows " << rows;
        if (i > 0) {
          EXPECT_LE(groups[i].bits, groups[i - 1].bits);
        }
        row += groups[i].rows;
      }
      if (!groups.empty()) {
        EXPECT_EQ(row, rows) << describe(option);
      }
    }
  }
}

TEST(QuantOption, DoesNotExistWhereTheLastSectionWouldBeNegative) {
  EXPECT_TRUE(cut_into_groups(exl2_2023_options()[0], 64).empty());
  EXPECT_FALSE(cut_into_groups(exl2_2023_options()[12], 64).empty());
  EXPECT_TRUE(cut_into_groups(exl2_2023_options()[3], 128).empty());
  // Three sections of one block each leave no groups for the last one: legal, and empty.
  EXPECT_EQ(groups_per_width(exl2_2023_options()[3], 256), (std::vector<int>{4, 4, 0}));
}

TEST(QuantOption, HeadRecipesExistForEveryRowCount) {
  const QuantOption six = head_recipes()[4].option;
  EXPECT_EQ(cut_head_into_groups(six, 4096), cut_into_groups(six, 4096));
  // 64 rows: ceil(9.6 / 32) = 1 group of 8 bits, the other of 6.
  EXPECT_EQ(cut_head_into_groups(six, 64),
            (std::vector<kernels::RowGroup>{{0, 32, 8}, {32, 32, 6}}));
  for (const HeadRecipe& head : head_recipes()) {
    for (std::int64_t rows = 32; rows <= 512; rows += 32) {
      const auto groups = cut_head_into_groups(head.option, rows);
      ASSERT_FALSE(groups.empty());
      EXPECT_EQ(groups.back().first_row + groups.back().rows, rows) << head.bits << ' ' << rows;
    }
  }
}

TEST(QuantOption, CountsStoredBitsWithThePermutation) {
  const auto groups =
      cut_into_groups(exl2_2023_options()[12], 64);  // two groups of 32 rows, 4 bits
  EXPECT_EQ(measured_bits(groups, 32), 64 * 32 * 4 + 2 * (48 + 4 * 32));
  EXPECT_EQ(stored_bits(groups, 32), measured_bits(groups, 32) + 32 * 64);
}

// The formula against every value of a file that ExLlamaV2 wrote: 560 layers, 24 options.
TEST(QuantOption, ReproducesAllBitsOfTheLlama70bMeasurement) {
  const std::string file = "data/measurements/llama2-70b.2023.json";
  SKIP_WITHOUT_SHARED(file);
  const auto json = nlohmann::json::parse(std::ifstream(tests::shared_path(file)));
  int compared = 0;
  for (const auto& layer : json.at("measurement")) {
    const auto numel = layer.at("numel").get<std::int64_t>();
    const std::int64_t rows =
        layer.at("key").get<std::string>().find("down_proj") != std::string::npos ? 28672 : 8192;
    const std::int64_t cols = numel / rows;
    for (std::size_t i = 0; i < layer.at("options").size(); ++i) {
      const auto& option = layer.at("options")[i];
      const QuantOption& ours = exl2_2023_options()[i];
      EXPECT_EQ(option.at("desc").get<std::string>(), describe(ours));
      const std::int64_t bits = measured_bits(cut_into_groups(ours, rows), cols);
      const double bpw = static_cast<double>(bits) / static_cast<double>(numel);
      EXPECT_EQ(option.at("bpw").get<double>(), bpw);
      EXPECT_EQ(option.at("total_bits").get<double>(), static_cast<double>(numel) * bpw);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 13440);
  RecordProperty("values_reproduced", compared);
}

}  // namespace
}  // namespace shardquant::exl2
