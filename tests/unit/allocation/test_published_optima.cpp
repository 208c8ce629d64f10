#include <gtest/gtest.h>

#include <map>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/frontier.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/unit/allocation/cpu_seconds.hpp"

namespace shardquant::allocation {
namespace {

constexpr const char* kShared = "data/measurements/llama2-70b.2023.json";
constexpr double kRelative = 1e-9;

// Llama-2-70B as ExLlamaV2 measured it; the figures are proved optima.
class PublishedOptima : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SHARED(kShared);
    static const records::Measurement measurement =
        records::read_measurement_2023(tests::shared_path(kShared));
    measurement_ = &measurement;
    input_ = allocation_input(measurement, kShared);
  }

  Allocation solve(double bpw, const std::string& objective) const {
    AllocationRequest request;
    request.budget = Budget::bits_per_weight(bpw);
    request.objective = objective;
    Allocation allocation;
    const double seconds = tests::cpu_seconds([&] { allocation = allocate(input_, request); });
    EXPECT_LT(seconds, 0.05) << objective << " at " << bpw;
    return allocation;
  }

  void expect_proved(const Allocation& allocation, double value, double precision) const {
    EXPECT_EQ(allocation.plan.status, "proved");
    EXPECT_EQ(allocation.plan.gap, 0.0);
    EXPECT_EQ(allocation.plan.lower_bound, allocation.plan.objective_value);
    EXPECT_NEAR(allocation.plan.objective_value, value, precision);
    EXPECT_LE(allocation.plan.total_bits, allocation.plan.budget_bits);
  }

  const records::Measurement* measurement_ = nullptr;
  AllocationInput input_;
};

TEST_F(PublishedOptima, EveryObjectiveAtTheBudgetOfTheFile) {
  const std::map<std::string, double> optima = {{"sum", 59.252423326019},
                                                {"nll", 65.480692417572},
                                                {"minimax_sum", 81.482870101929},
                                                {"sum_squares", 9.847629900128},
                                                {"log", -1688.200339}};
  for (const auto& [objective, value] : optima) {
    SCOPED_TRACE(objective);
    const Allocation allocation = solve(2.4, objective);
    EXPECT_EQ(allocation.plan.budget_bits, 164282499072);
    expect_proved(allocation, value, kRelative * std::abs(value));
    if (objective == "minimax_sum") {
      EXPECT_NEAR(allocation.plan.max_err, 0.208805948496, kRelative * 0.2088);
    }
  }
}

TEST_F(PublishedOptima, SumAndLogLikelihoodAtTheOtherBudgets) {
  struct Row {
    double bpw, sum, nll;
  };
  const Row rows[] = {{2.2, 75.715814, 83.706248}, {2.3, 64.085815, 70.985245},
                      {2.5, 55.131938, 60.461063}, {2.6, 51.218979, 55.786366},
                      {3.0, 37.449169, 39.596661}, {3.5, 26.124966, 27.202987},
                      {4.0, 18.257555, 18.747349}, {4.65, 12.116336, 12.319376},
                      {5.0, 9.852165, 9.975687},   {6.0, 5.900535, 5.938323}};
  constexpr double kPrinted = 0.5000001e-6;  // the published figures have six decimals
  for (const Row& row : rows) {
    SCOPED_TRACE(row.bpw);
    expect_proved(solve(row.bpw, "sum"), row.sum, kPrinted);
    expect_proved(solve(row.bpw, "nll"), row.nll, kPrinted);
  }
}

TEST_F(PublishedOptima, TheRuleOf2023ChoosesWhatTheFileHolds) {
  const Allocation allocation = solve(2.4, "exl2-2023");
  int first_stage = 0;
  int choices = 0;
  for (std::size_t l = 0; l < measurement_->layers.size(); ++l) {
    first_stage += allocation.first_stage[l] == *measurement_->layers[l].best_option_max ? 1 : 0;
    choices += allocation.choices[l] == *measurement_->layers[l].best_option ? 1 : 0;
  }
  EXPECT_EQ(first_stage, 560);
  EXPECT_EQ(choices, 560);
  EXPECT_NEAR(allocation.plan.sum_err, 82.546364523, 1e-8);
  EXPECT_EQ(allocation.plan.status, "rule");
  EXPECT_FALSE(allocation.plan.lower_bound.has_value());
  EXPECT_TRUE(allocation.plan.warnings.empty());

  records::Measurement marked = *measurement_;
  for (auto& layer : marked.layers) layer.best_option_max = layer.best_option = std::nullopt;
  mark_choices(allocation, marked);
  EXPECT_TRUE(marked == *measurement_);
}

TEST_F(PublishedOptima, TheRuleOf2023ExceedsItsTargetAndSaysSo) {
  const std::map<double, double> reached = {{2.6, 2.600029}, {4.0, 4.000143}, {5.0, 5.000262}};
  for (const auto& [target, bpw] : reached) {
    const Allocation allocation = solve(target, "exl2-2023");
    EXPECT_NEAR(allocation.plan.bpw(), bpw, 0.5000001e-6);
    ASSERT_EQ(allocation.plan.warnings.size(), 1u);
    EXPECT_NE(allocation.plan.warnings[0].find("exceeds the budget"), std::string::npos);
  }
}

TEST_F(PublishedOptima, TheFrontierIsProvedAndFalls) {
  AllocationRequest request;
  std::vector<FrontierPoint> points;
  const double seconds = tests::cpu_seconds(
      [&] { points = allocate_frontier(input_, request, parse_frontier("2.2:6.0:0.1")); });
  EXPECT_LT(seconds, 2.0);
  ASSERT_EQ(points.size(), 39u);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].plan.status, "proved");
    EXPECT_EQ(points[i].plan.gap, 0.0);
    if (i == 0) continue;
    EXPECT_LT(points[i].plan.objective_value, points[i - 1].plan.objective_value);
    EXPECT_GT(points[i].plan.total_bits, points[i - 1].plan.total_bits);
  }
  EXPECT_NEAR(points[2].plan.objective_value, 59.252423326019, 1e-9);
  EXPECT_NEAR(points[38].plan.objective_value, 5.900535, 1e-6);
}

}  // namespace
}  // namespace shardquant::allocation
