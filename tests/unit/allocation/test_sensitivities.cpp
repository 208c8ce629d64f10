#include <gtest/gtest.h>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/frontier.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "tests/oracle/brute_force_choice.hpp"
#include "tests/unit/formats/expect_refusal.hpp"
#include "tests/unit/solver/random_problem.hpp"

namespace shardquant::allocation {
namespace {

using tests::expect_refusal;

// Errors that fall with bits, sensitivities over three orders of magnitude.
records::Measurement random_measurement(tests::RandomProblems& random, int layers) {
  records::Measurement measurement;
  for (int l = 0; l < layers; ++l) {
    records::LayerMeasurement layer;
    layer.key = "model.layers." + std::to_string(l / 2) + (l % 2 == 0 ? ".up_proj" : ".down_proj");
    layer.numel = 1000 * random.integer(1, 5);
    double err = 0.4;
    for (int bits = 2; bits <= 6; ++bits) {
      layer.options.push_back(records::measured_option(std::to_string(bits) + "b",
                                                       layer.numel * bits, layer.numel, err,
                                                       {32, {bits}, {1.0}, 4}));
      err *= 0.3 + 0.3 * random.real();
    }
    layer.kl = 1e-4 * random.real();
    layer.sensitivity = std::pow(10.0, 3.0 * random.real() - 2.0);
    measurement.layers.push_back(layer);
  }
  return measurement;
}

solver::ChoiceProblem plain_problem(const records::Measurement& measurement,
                                    std::int64_t budget_bits) {
  solver::ChoiceProblem problem;
  problem.budget_bits = budget_bits;
  for (const records::LayerMeasurement& layer : measurement.layers) {
    auto& group = problem.groups.emplace_back();
    for (const records::MeasuredOption& option : layer.options) {
      group.push_back({option.bits(), *layer.sensitivity * option.err * option.err});
    }
  }
  return problem;
}

AllocationRequest kl_request(double bpw) {
  AllocationRequest request;
  request.budget = Budget::bits_per_weight(bpw);
  request.objective = "kl";
  return request;
}

TEST(Sensitivities, WeighSquaredErrorsExactly) {
  tests::RandomProblems random(17);
  for (int i = 0; i < 20; ++i) {
    const records::Measurement measurement = random_measurement(random, 6);
    const AllocationInput input = allocation_input(measurement, "m");
    ASSERT_TRUE(input.has_sensitivities());
    const AllocationRequest request = kl_request(2.5 + 0.15 * i);
    const records::Plan plan = allocate(input, request).plan;
    const auto best =
        tests::brute_force_choice(plain_problem(measurement, budget_bits(request.budget, input)));
    EXPECT_NEAR(plan.objective_value, best->loss, 1e-12 * best->loss);
    EXPECT_EQ(plan.status, "proved");
    EXPECT_LE(*plan.lower_bound, plan.objective_value);
    double value = 0.0;
    for (std::size_t l = 0; l < plan.layers.size(); ++l) {
      value += *measurement.layers[l].sensitivity * plan.layers[l].err * plan.layers[l].err;
    }
    EXPECT_NEAR(plan.objective_value, value, 1e-12 * value);
  }
}

TEST(Sensitivities, HoldUnderConstraintsAndAlongTheFrontier) {
  tests::RandomProblems random(18);
  const records::Measurement measurement = random_measurement(random, 6);
  const AllocationInput input = allocation_input(measurement, "m");
  AllocationRequest request = kl_request(3.5);
  request.constraints = {parse_constraint(Constraint::Kind::tie, "*"),
                         parse_constraint(Constraint::Kind::floor, "*down_proj=3")};
  const Allocation tied = allocate(input, request);
  const auto best =
      tests::brute_force_choice(plain_problem(measurement, budget_bits(request.budget, input)),
                                [](const std::vector<int>& choices) {
                                  for (std::size_t l = 0; l < choices.size(); l += 2) {
                                    if (choices[l] != choices[l + 1] || choices[l + 1] < 1)
                                      return false;
                                  }
                                  return true;
                                });
  EXPECT_NEAR(tied.plan.objective_value, best->loss, 1e-12 * best->loss);

  double before = 1e300;
  for (const FrontierPoint& point :
       allocate_frontier(input, kl_request(2.0), {2.5, 3.0, 3.5, 4.0, 5.0})) {
    EXPECT_LT(point.plan.objective_value, before);
    before = point.plan.objective_value;
  }
}

TEST(Sensitivities, AreNeededOfEveryLayer) {
  tests::RandomProblems random(19);
  records::Measurement measurement = random_measurement(random, 4);
  measurement.layers[2].sensitivity.reset();
  const AllocationInput input = allocation_input(measurement, "m.json");
  EXPECT_FALSE(input.has_sensitivities());
  expect_refusal([&] { allocate(input, kl_request(4.0)); }, ExitCode::bad_data,
                 {"m.json", measurement.layers[2].key, "sensitivity", "sum_squares"});
}

TEST(Sensitivities, AreReadBackAsTheyWereAndCountNotAtAllWhereAbsent) {
  tests::RandomProblems random(20);
  records::Measurement measurement = random_measurement(random, 3);
  const std::string text = records::measurement_2023_text(measurement);
  EXPECT_EQ(records::parse_measurement_2023(text, "m"), measurement);
  for (records::LayerMeasurement& layer : measurement.layers) {
    layer.kl.reset();
    layer.sensitivity.reset();
  }
  const std::string plain = records::measurement_2023_text(measurement);
  EXPECT_EQ(plain.find("sensitivity"), std::string::npos);
  EXPECT_EQ(records::parse_measurement_2023(plain, "m"), measurement);
  for (const char* value : {"-1", "\"x\"", "1e999"}) {
    std::string bad = text;
    const std::size_t at = bad.find("\"sensitivity\": ") + 15;
    bad.replace(at, bad.find('\n', at) - at, value);
    expect_refusal([&] { records::parse_measurement_2023(bad, "m"); }, ExitCode::bad_data, {"m"});
  }
}

}  // namespace
}  // namespace shardquant::allocation
