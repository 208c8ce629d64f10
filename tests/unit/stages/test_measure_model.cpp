#include <gmock/gmock.h>

#include <cmath>

#include "pipeline/stages/measure_model.hpp"
#include "tests/support/small_run.hpp"

namespace shardquant::tests {
namespace {

namespace fs = std::filesystem;

std::int64_t count_files(const fs::path& folder) {
  std::int64_t count = 0;
  for (const auto& file : fs::directory_iterator(folder)) count += file.is_regular_file();
  return count;
}

TEST(MeasureModel, MeasuresEveryExistingOptionOfTheBlocksLayers) {
  SmallRun run;
  const auto measured = stages::measure_model(run.context(), false);
  ASSERT_EQ(measured.layers.size(), 14u);
  ASSERT_EQ(measured.measurement.layers.size(), 14u);
  EXPECT_EQ(measured.balance.items(), 14);
  for (std::size_t l = 0; l < 14; ++l) {
    const records::LayerMeasurement& layer = measured.measurement.layers[l];
    EXPECT_EQ(layer.key, run.model().layer(static_cast<std::int64_t>(l)).key);
    EXPECT_FALSE(layer.options.empty());
    for (const records::MeasuredOption& option : layer.options) {
      EXPECT_GT(option.err, 0.0) << layer.key << ' ' << option.desc;
      EXPECT_LT(option.err, 1.0) << layer.key << ' ' << option.desc;
    }
    EXPECT_LT(layer.options.back().err, layer.options.front().err) << "8 bits against 2";
  }
  EXPECT_GT(measured.measurement.base_perplexity, 1.0);
  EXPECT_TRUE(fs::exists(run.work().measurement()));
  EXPECT_EQ(count_files(run.work().path() / "hessians"), 0);
}

TEST(MeasureModel, MeasuresOnlyWhatTheWorkFolderLacks) {
  SmallRun run;
  const auto first = stages::measure_model(run.context(), true);
  EXPECT_EQ(count_files(run.work().path() / "hessians"), 9);
  const auto again = stages::measure_model(run.context(), true);
  EXPECT_EQ(again.balance.items(), 0);
  EXPECT_EQ(again.measurement, first.measurement);

  const std::string key = run.model().layer(9).key;
  ASSERT_TRUE(fs::remove(run.work().measurement(key)));
  const auto third = stages::measure_model(run.context(), true);
  EXPECT_EQ(third.balance.items(), 1) << key;
  EXPECT_EQ(third.measurement, first.measurement);
}

TEST(DecideKeepHessians, FollowsTheSettingAndTheSpace) {
  SmallRun run;
  for (const auto& [setting, kept] : {std::pair{"keep", true}, {"recompute", false}}) {
    run.config().quantize.hessians = setting;
    EXPECT_EQ(stages::decide_keep_hessians(run.context()), kept) << setting;
  }
  run.config().quantize.hessians = "auto";
  EXPECT_TRUE(stages::decide_keep_hessians(run.context())) << "a few KiB";
}

}  // namespace
}  // namespace shardquant::tests
