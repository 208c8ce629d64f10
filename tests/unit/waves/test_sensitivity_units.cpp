#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "pipeline/failure.hpp"
#include "pipeline/model/families/families.hpp"
#include "pipeline/waves/sensitivity_units.hpp"

namespace shardquant::tests {
namespace {

using waves::sensitivity_rows;

model::ModelLayout small_layout() {
  model::ModelDescription description;
  description.family = model::find_family("LlamaForCausalLM");
  description.layers = 3;
  description.hidden_size = 256;
  description.intermediate_size = 768;
  description.heads = 8;
  description.kv_heads = 4;
  description.head_dim = 32;
  description.vocab_size = 512;
  description.windows.assign(3, 0);
  return model::lay_out_model(description);
}

TEST(SensitivityUnits, AreLayersOrPartsAndNeverTheHead) {
  const model::ModelLayout layout = small_layout();
  config::RunConfig::Sensitivity settings;
  const auto layers = waves::sensitivity_units(layout, settings);
  ASSERT_EQ(layers.size(), 21u);
  EXPECT_EQ(layers[8].name, "model.layers.1.self_attn.k_proj");
  EXPECT_THAT(layers[8].layers, testing::ElementsAre(8));
  settings.per = "part";
  const auto parts = waves::sensitivity_units(layout, settings);
  ASSERT_EQ(parts.size(), 6u);
  EXPECT_EQ(parts[2].name, "model.layers.1.part-0");
  EXPECT_EQ(parts[2].block, 1);
  EXPECT_THAT(parts[2].layers, testing::ElementsAre(7, 8, 9, 10));
  EXPECT_THAT(parts[3].layers, testing::ElementsAre(11, 12, 13));
}

TEST(SensitivityRows, AreFarApartAndOfAllSources) {
  for (const std::int64_t rows : {1, 2, 3, 4, 5, 16, 31, 32, 64, 100, 1000}) {
    for (const std::int64_t count : {1, 2, 3, 4, 8, 40}) {
      const auto chosen = sensitivity_rows(rows, count);
      ASSERT_EQ(std::ssize(chosen), std::min(rows, count)) << rows;
      EXPECT_GE(chosen.front(), 0);
      EXPECT_LT(chosen.back(), rows);
      for (std::size_t i = 1; i < chosen.size(); ++i) EXPECT_LT(chosen[i - 1], chosen[i]);
      // Rows of two or three sources lie alternately.
      for (const std::int64_t sources : {2, 3}) {
        std::set<std::int64_t> seen;
        for (const std::int64_t row : chosen) seen.insert(row % sources);
        EXPECT_EQ(std::ssize(seen), std::min(std::ssize(chosen), sources)) << rows << ' ' << count;
      }
    }
  }
  const auto four = sensitivity_rows(64, 4);
  EXPECT_GE(four.back() - four.front(), 48) << "most of the rows are between them";
}

TEST(TrialOption, IsTheNamedOneOrTheNearestInBits) {
  const auto options = exl2::exl2_2023_options();
  const std::string name = "1.0:3b 32g s4";
  const std::int64_t named = waves::trial_option(options, name, 4096);
  EXPECT_EQ(exl2::describe(options[static_cast<std::size_t>(named)]), name);
  // A table whose named option exists for many rows only.
  std::vector<exl2::QuantOption> table(options.begin(), options.end());
  const std::int64_t mixed = 1;
  ASSERT_FALSE(exl2::cut_into_groups(table[1], 4096).empty());
  std::int64_t few = 32;
  while (few < 1024 && !exl2::cut_into_groups(table[1], few).empty()) few += 32;
  if (few == 1024) GTEST_SKIP() << "every option exists for all these counts";
  const std::int64_t instead =
      waves::trial_option(table, exl2::describe(table[static_cast<std::size_t>(mixed)]), few);
  EXPECT_NE(instead, mixed);
  EXPECT_FALSE(exl2::cut_into_groups(table[static_cast<std::size_t>(instead)], few).empty());
}

TEST(TrialOption, RefusesANameThatTheTableDoesNotHave) {
  try {
    waves::trial_option(exl2::exl2_2023_options(), "3 bits", 4096);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::config);
    EXPECT_THAT(failure.what(), testing::HasSubstr("1.0:3b 32g s4"));
  }
}

TEST(DealSensitivityUnits, SharesTheWorkThatIsNotKnownEvenly) {
  const model::ModelLayout layout = small_layout();
  config::RunConfig config;
  config.calibration.rows = 32;
  config.calibration.length = 256;
  const auto units = waves::sensitivity_units(layout, config.sensitivity);
  const waves::SensitivityTokens tokens = waves::sensitivity_tokens(config);
  EXPECT_EQ(tokens.count(), 256);
  std::vector<bool> known(units.size());
  known[3] = known[20] = true;
  std::vector<double> load(4);
  const std::vector<int> owners = waves::deal_sensitivity_units(layout, config, 4, known);
  for (std::size_t u = 0; u < units.size(); ++u) {
    if (known[u]) {
      EXPECT_EQ(owners[u], -1);
      continue;
    }
    load[static_cast<std::size_t>(owners[u])] +=
        waves::operations_of(waves::sensitivity_work(layout, units[u], tokens));
  }
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / 4.0;
  for (const double each : load) EXPECT_NEAR(each, mean, 0.2 * mean);
}

}  // namespace
}  // namespace shardquant::tests
