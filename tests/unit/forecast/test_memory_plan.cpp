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
    config_.calibration.rows = 64;
    config_.calibration.slice_rows = 8;
    config_.calibration.length = 256;
    config_.allocate.objective = "sum";
    config_.evaluation.rows = 0;
  }

  void set_layers(std::int64_t layers) {
    description_.layers = layers;
    description_.windows.assign(static_cast<std::size_t>(layers), 0);
    layout_ = model::lay_out_model(description_);
  }

  MemoryPlan plan() const {
    return plan_memory(description_, layout_, exl2::exl2_format(), config_, ranks_);
  }

  std::int64_t term(const std::string& what) const {
    for (const MemoryPlan::Term& term : plan().terms) {
      if (term.what == what) return term.bytes;
    }
    throw std::out_of_range(what);
  }

  model::ModelDescription description_;
  model::ModelLayout layout_;
  config::RunConfig config_;
  int ranks_ = 1;
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
  ranks_ = 3;  // 8 slices: one rank has 3 of them
  EXPECT_EQ(term(kHidden), 24 * 256 * 256 * 4);
}

TEST_F(MemoryPlanTest, SketchesAreCountedWhereTheyAreTaken) {
  EXPECT_EQ(term("sketches"), 0);
  config_.measure.err_norm = "row_mean";
  EXPECT_GE(term("sketches"), 64 * 16 * 768 * 4);
}

TEST_F(MemoryPlanTest, ALargerEvaluationAddsItsExcessAlone) {
  const std::int64_t without = plan().bytes();
  config_.evaluation.rows = 1;
  EXPECT_EQ(plan().bytes(), without);
  config_.evaluation.rows = 100'000;
  EXPECT_GT(plan().bytes(), without);
}

TEST_F(MemoryPlanTest, SensitivitiesAreBoundedByTheirCopiesNotByTheModel) {
  const std::int64_t without = plan().bytes();
  config_.allocate.objective = "kl";
  const std::int64_t with = plan().bytes();
  EXPECT_GE(with, without);
  set_layers(60);
  EXPECT_LE(plan().bytes(), with + (std::int64_t{1} << 30));
}

}  // namespace
}  // namespace shardquant::forecast
