#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
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

weights::LayerShape layer_of(std::int64_t inputs, std::int64_t outputs) {
  return {"layer", inputs, outputs, false, formats::Dtype::f16, false};
}

TEST(TrialOption, IsOfThreeBitsWhereNoneIsNamed) {
  for (const auto& [inputs, outputs] : {std::pair{64, 96}, {576, 192}, {4096, 11008}}) {
    const auto option = waves::trial_option(exl2::exl2_format(), "", layer_of(inputs, outputs));
    EXPECT_EQ(exl2::exl2_format().option_text(option), "1.0:3b 32g s4") << inputs;
  }
}

TEST(TrialOption, IsTheNamedOneOrTheNearestInBits) {
  for (std::int64_t named = 0; named < exl2::exl2_format().option_count(); ++named) {
    const std::string name = exl2::exl2_format().option_text(named);
    for (const std::int64_t inputs : {32, 64, 96, 4096}) {
      const weights::LayerShape layer = layer_of(inputs, 256);
      const auto option = waves::trial_option(exl2::exl2_format(), name, layer);
      ASSERT_TRUE(exl2::exl2_format().recipe(option, layer).has_value());
      if (exl2::exl2_format().recipe(named, layer)) {
        EXPECT_EQ(option, named);
        continue;
      }
      const auto bits = [&](std::int64_t o) {
        return static_cast<double>(exl2::exl2_format().counted_bits(o, layer)) /
               static_cast<double>(layer.parameters());
      };
      const records::QParams recipe = exl2::exl2_format().option_recipe(named);
      EXPECT_LE(bits(option), recipe.bits.front() + 1.0) << name;
      EXPECT_GE(bits(option), recipe.bits.back()) << name;
    }
  }
}

TEST(TrialOption, RefusesANameThatTheFormatDoesNotHave) {
  try {
    waves::trial_option(exl2::exl2_format(), "3 bits", layer_of(4096, 4096));
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
