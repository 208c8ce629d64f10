#include "pipeline/allocation/budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/frontier.hpp"
#include "pipeline/formats/json_text.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::allocation {
namespace {

using tests::expect_refusal;

AllocationInput two_layers() {
  AllocationInput input;
  input.name = "two.json";
  input.layers = {{"a", 100, {{"x", 250, 0.5, 2.5, 250}, {"y", 400, 0.25, 4.0, 400}}},
                  {"b", 300, {{"x", 750, 0.5, 2.5, 750}, {"y", 1200, 0.125, 4.0, 1200}}}};
  for (AllocationLayer& layer : input.layers) layer.sensitivity = 0.5;
  return input;
}

Allocation allocate_at(const Budget& budget, const std::string& objective = "sum") {
  AllocationRequest request;
  request.budget = budget;
  request.objective = objective;
  return allocate(two_layers(), request);
}

TEST(Budget, IsRoundedDownToBits) {
  EXPECT_EQ(budget_bits(Budget::bits_per_weight(2.4), two_layers()), 960);
  EXPECT_EQ(budget_bits(Budget::bits_per_weight(2.4999), two_layers()), 999);
  EXPECT_EQ(budget_bits(Budget::total_bits(7), two_layers()), 7);
  EXPECT_GT(budget_bits(Budget::bits_per_weight(1e300), two_layers()), std::int64_t{1} << 59);
  for (const double bpw : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    expect_refusal([&] { budget_bits(Budget::bits_per_weight(bpw), two_layers()); },
                   ExitCode::config, {"positive"});
  }
  AllocationInput unknown = two_layers();
  unknown.layers[1].numel = 0;
  expect_refusal([&] { budget_bits(Budget::bits_per_weight(3.0), unknown); }, ExitCode::bad_data,
                 {"two.json", "--bits"});
}

TEST(Budget, AtTheMinimumTheMaximumAndBeyond) {
  EXPECT_EQ(allocate_at(Budget::total_bits(1000)).plan.total_bits, 1000);
  EXPECT_EQ(allocate_at(Budget::bits_per_weight(2.5)).plan.total_bits, 1000);
  const Allocation most = allocate_at(Budget::total_bits(1600));
  EXPECT_EQ(most.plan.total_bits, 1600);
  EXPECT_TRUE(most.plan.warnings.empty());
  const Allocation beyond = allocate_at(Budget::bits_per_weight(8.0));
  EXPECT_EQ(beyond.plan.total_bits, 1600);
  ASSERT_EQ(beyond.plan.warnings.size(), 1u);
  EXPECT_NE(beyond.plan.warnings[0].find("4.000000 bpw (1600 bits)"), std::string::npos);
}

TEST(Budget, OneBitTooFewNamesWhatIsReachable) {
  for (const std::string& objective : objective_names()) {
    expect_refusal([&] { allocate_at(Budget::total_bits(999), objective); }, ExitCode::config,
                   {"999 bits", "smallest reachable value is 1000 bits", "largest 1600 bits"});
  }
  expect_refusal([] { allocate_at(Budget::bits_per_weight(2.2)); }, ExitCode::config,
                 {"2.2 bpw", "2.500000 bpw (1000 bits)", "4.000000 bpw (1600 bits)"});
}

TEST(Budget, InBytesOfTheFolder) {
  FolderSize folder;
  folder.fixed_bytes = 5000;
  folder.layer_bytes = {{40, 60}, {100, 160}};
  AllocationRequest request;
  request.folder = &folder;
  request.budget = Budget::folder(5000 + 200);
  const Allocation allocation = allocate(two_layers(), request);
  EXPECT_EQ(allocation.choices, (std::vector<int>{0, 1}));
  EXPECT_EQ(allocation.plan.folder_bytes, 5200);
  EXPECT_EQ(allocation.plan.folder_budget_bytes, 5200);
  EXPECT_EQ(allocation.plan.stored_bits, 1600);
  EXPECT_EQ(allocation.plan.total_bits, 250 + 1200);
  request.budget = Budget::folder(5139);
  expect_refusal([&] { allocate(two_layers(), request); }, ExitCode::config,
                 {"5139 bytes", "5140 bytes", "5220 bytes"});
  request.folder = nullptr;
  expect_refusal([&] { allocate(two_layers(), request); }, ExitCode::config, {"--model"});
}

TEST(Objective, OutsideItsDomainNamesLayerOptionAndField) {
  AllocationInput input = two_layers();
  input.layers[1].options[0].err = 1.0;
  AllocationRequest request;
  request.budget = Budget::total_bits(2000);
  EXPECT_NO_THROW(allocate(input, request));
  request.objective = "nll";
  expect_refusal([&] { allocate(input, request); }, ExitCode::bad_data,
                 {"two.json", "layer b", "option 0", "err", "nll"});
  input.layers[1].options[0].err = 0.0;
  request.objective = "log";
  expect_refusal([&] { allocate(input, request); }, ExitCode::bad_data, {"layer b", "log"});
  request.objective = "least";
  expect_refusal([&] { allocate(input, request); }, ExitCode::config,
                 {"least", "sum, nll, sum_squares, log, minimax_sum, weighted, kl, exl2-2023"});
}

TEST(Objective, TheRuleKnowsNoConstraints) {
  AllocationRequest request;
  request.budget = Budget::total_bits(1200);
  request.objective = "exl2-2023";
  EXPECT_EQ(allocate(two_layers(), request).plan.status, "rule");
  request.constraints = {{Constraint::Kind::floor, "*", "", 1.0}};
  expect_refusal([&] { allocate(two_layers(), request); }, ExitCode::config, {"neither"});
}

TEST(ParseSize, KnowsDecimalAndBinaryUnits) {
  EXPECT_EQ(parse_size("24GiB"), std::int64_t{24} << 30);
  EXPECT_EQ(parse_size("1.5 MiB"), 1572864);
  EXPECT_EQ(parse_size("800 MB"), 800'000'000);
  EXPECT_EQ(parse_size("123456789"), 123456789);
  EXPECT_EQ(parse_size("7kB"), 7000);
  for (const char* text : {"", "GiB", "24gib", "24 G", "-1GB", "0", "nanGB", "1e30TiB", "5GBx"}) {
    expect_refusal([&] { parse_size(text); }, ExitCode::config, {"size", "24GiB"});
  }
}

TEST(ParseFrontier, GivesTheDecimalsThatWereMeant) {
  const std::vector<double> values = parse_frontier("2.2:6.0:0.1");
  ASSERT_EQ(values.size(), 39u);
  EXPECT_EQ(values[0], 2.2);
  EXPECT_EQ(values[2], 2.4);  // 2.2 + 2 * 0.1 is above it in double
  EXPECT_EQ(values[38], 6.0);
  EXPECT_EQ(parse_frontier("3:3:1"), (std::vector<double>{3.0}));
  EXPECT_EQ(parse_frontier("3:3.99:0.5"), (std::vector<double>{3.0, 3.5}));
  for (const char* text : {"", "2:3", "2:3:0", "2:3:-1", "3:2:0.1", "2:3:0.1:4", "2:3:0.1x",
                           "a:b:c", "0:1:0.5", "2:8:1e-9", "2:nan:1", "2,3,4"}) {
    expect_refusal([&] { parse_frontier(text); }, ExitCode::config, {"FIRST:LAST:STEP"});
  }
}

TEST(Frontier, IsWrittenAsJsonAndCsv) {
  AllocationRequest request;
  const auto points = allocate_frontier(two_layers(), request, {2.5, 3.0, 4.0});
  const auto json = formats::JsonText::parse(frontier_json(points, "sum", "xxh3-128:0"), "json");
  const auto list = json.root().at("points");
  ASSERT_EQ(list.size(), 3);
  EXPECT_EQ(list.at(1).number("asked_bpw", 0, 9), 3.0);
  EXPECT_EQ(list.at(1).integer("budget_bits", 0, 9999), 1200);
  EXPECT_EQ(list.at(2).number("objective_value", 0, 9), 0.375);
  EXPECT_EQ(list.at(2).number("lower_bound", 0, 9), 0.375);
  const std::string csv = frontier_csv(points);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
  EXPECT_EQ(csv.rfind("asked_bpw,budget_bits,total_bits,bpw,objective_value,lower_bound,gap,", 0),
            0u);
  EXPECT_NE(csv.find("\n4.0,1600,1600,4.0,0.375,0.375,0.0,"), std::string::npos);

  request.objective = "exl2-2023";
  const auto rule = allocate_frontier(two_layers(), request, {3.0});
  EXPECT_NE(frontier_json(rule, "exl2-2023", "").find("\"lower_bound\": null"), std::string::npos);
}

}  // namespace
}  // namespace shardquant::allocation
