#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/forecast/memory_plan.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/families/families.hpp"

namespace shardquant::forecast {
namespace {

class MemoryPlanTest : public ::testing::Test {
 protected:
  MemoryPlanTest() {
    description_.family = model::find_family("LlamaForCausalLM");
    description_.hidden_size = 256;
    description_.intermediate_size = 768;
    description_.heads = 8;
    description_.kv_heads = 4;
    description_.head_dim = 32;
    description_.vocab_size = 512;
    set_layers(6);
  }

  void set_layers(std::int64_t layers) {
    description_.layers = layers;
    description_.windows.assign(static_cast<std::size_t>(layers), 0);
    layout_ = model::lay_out_model(description_);
  }

  MemoryPlan plan() const {
    return plan_memory(description_, layout_, exl2::exl2_format(), demand_);
  }

  std::int64_t term(const std::string& what) const {
    for (const MemoryPlan::Term& term : plan().terms) {
      if (term.what == what) return term.bytes;
    }
    throw std::out_of_range(what);
  }

  model::ModelDescription description_;
  model::ModelLayout layout_;
  MemoryDemand demand_{{64, 8, 256}, 1, 1, false, 0};
};

TEST_F(MemoryPlanTest, IsTheSumOfItsTermsWhateverTheDepthOfTheModel) {
  std::int64_t sum = 0;
  for (const MemoryPlan::Term& term : plan().terms) sum += term.bytes;
  EXPECT_EQ(plan().bytes(), sum);
  EXPECT_LT(plan().device_bytes(), sum);
  const std::int64_t of_six = plan().bytes();
  set_layers(60);
  EXPECT_EQ(plan().bytes(), of_six);
}

TEST_F(MemoryPlanTest, HiddenStatesAreThoseOfTheRanksOwnSlices) {
  const char* const kHidden = "hidden states of this rank's slices";
  EXPECT_EQ(term(kHidden), 64 * 256 * 256 * 4);
  demand_.ranks = 3;  // 8 slices: one rank has 3 of them
  EXPECT_EQ(term(kHidden), 24 * 256 * 256 * 4);
}

TEST_F(MemoryPlanTest, SketchesAreCountedWhereTheyAreTaken) {
  EXPECT_EQ(term("sketches"), 0);
  demand_.sketches = true;
  EXPECT_GE(term("sketches"), 64 * 16 * 768 * 4);
}

TEST_F(MemoryPlanTest, ALargerEvaluationAddsItsExcessAlone) {
  const std::int64_t without = plan().bytes();
  demand_.evaluation_rows = 1;
  EXPECT_EQ(plan().bytes(), without);
  demand_.evaluation_rows = 100'000;
  EXPECT_GT(plan().bytes(), without);
}

TEST(MemoryDemandTest, IsThatOfTheJob) {
  config::RunConfig config;
  config.calibration.rows = 12;
  config.calibration.slice_rows = 4;
  config.calibration.length = 32;
  config.device.threads = 5;
  config.measure.err_norm = "row_mean";
  const MemoryDemand demand = memory_demand(config, 7);
  EXPECT_EQ(demand.slices.count(), 3);
  EXPECT_EQ(demand.ranks, 7);
  EXPECT_EQ(demand.threads, 5);
  EXPECT_TRUE(demand.sketches);
  EXPECT_EQ(demand.evaluation_rows, config.most_evaluation_rows());
}

}  // namespace
}  // namespace shardquant::forecast
