#include <gmock/gmock.h>

#include <map>

#include "pipeline/forecast/plan_job.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/families/families.hpp"

namespace shardquant::tests {
namespace {

class PlanJob : public testing::Test {
 protected:
  PlanJob() {
    description_.family = model::find_family("LlamaForCausalLM");
    description_.layers = 6;
    description_.hidden_size = 256;
    description_.intermediate_size = 768;
    description_.heads = 8;
    description_.kv_heads = 4;
    description_.head_dim = 32;
    description_.vocab_size = 512;
    description_.windows.assign(6, 0);
    layout_ = model::lay_out_model(description_);
    config_.calibration.rows = 64;
    config_.calibration.length = 256;
    profile_ = config::find_machine_profile("xeon-2core");
  }

  forecast::JobPlan plan(int ranks) const {
    return forecast::plan_job({description_, layout_, config_, profile_, exl2::exl2_format()},
                              ranks);
  }

  model::ModelDescription description_;
  model::ModelLayout layout_;
  config::RunConfig config_;
  config::MachineProfile profile_;
};

const forecast::StagePlan& stage(const forecast::JobPlan& plan, const std::string& name) {
  for (const forecast::StagePlan& each : plan.stages) {
    if (each.name == name) return each;
  }
  throw std::out_of_range(name);
}

TEST_F(PlanJob, WorksEveryLayerOffOnceWhateverTheRanks) {
  for (const int ranks : {1, 2, 3, 7, 40}) {
    const forecast::JobPlan job = plan(ranks);
    std::map<std::int64_t, std::size_t> options;
    for (const forecast::PlannedItem& item : job.measured) {
      EXPECT_LT(item.rank, ranks);
      options[item.layer] += item.options.empty() ? 24 : item.options.size();
    }
    EXPECT_EQ(options.size(), 42u) << ranks;
    for (const auto& [layer, count] : options) EXPECT_EQ(count, 24u) << ranks << ' ' << layer;
    EXPECT_EQ(job.quantized.size(), 43u) << ranks << ": the head too";
  }
}

TEST_F(PlanJob, MoreRanksTakeLessTimeAndNoMoreWork) {
  const forecast::JobPlan one = plan(1);
  const forecast::JobPlan four = plan(4);
  EXPECT_LT(four.seconds(), one.seconds());
  double of_one = 0.0, of_four = 0.0;
  for (const double s : stage(one, "measure").busy_s) of_one += s;
  for (const double s : stage(four, "measure").busy_s) of_four += s;
  EXPECT_NEAR(of_four - stage(four, "measure").repeated_s, of_one, 1e-6 * of_one);
  EXPECT_EQ(stage(one, "calibrate").network_bytes, 0);
  EXPECT_GT(stage(four, "calibrate").network_bytes, 0);
}

TEST_F(PlanJob, SaysWhatDoesNotFitAndWhatWouldMakeItFit) {
  EXPECT_TRUE(plan(1).complaints.empty());
  profile_.host_gib = 0.1;
  const forecast::JobPlan job = plan(1);
  ASSERT_EQ(job.complaints.size(), 1u);
  EXPECT_THAT(job.complaints.front(), testing::HasSubstr("host memory"));
  EXPECT_GT(job.host_bytes, job.host_limit);
}

TEST_F(PlanJob, TheMemoryBoundFollowsTheLargestBlockNotTheirNumber) {
  const std::int64_t few = plan(2).memory.bytes();
  description_.layers = 60;
  description_.windows.assign(60, 0);
  layout_ = model::lay_out_model(description_);
  EXPECT_EQ(plan(2).memory.bytes(), few);
  description_.intermediate_size *= 4;
  layout_ = model::lay_out_model(description_);
  EXPECT_GT(plan(2).memory.bytes(), few);
}

}  // namespace
}  // namespace shardquant::tests
