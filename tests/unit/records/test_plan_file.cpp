#include "pipeline/records/plan_file.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/records/python_number.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::records {
namespace {

using tests::expect_refusal;

Plan full_plan() {
  Plan plan;
  plan.layers = {{"a.0.x", "1.0:8b 32g s4", 1000, 0.125}, {"a.1.\"y\"", "1.0:4b 32g s4", 500, 0.5}};
  plan.recipes = {{"1.0:8b 32g s4", {32, {8}, {1.0}, 4}}, {"1.0:4b 32g s4", {32, {4}, {1.0}, 4}}};
  plan.objective = "sum";
  plan.status = "proved";
  plan.objective_value = 0.625;
  plan.lower_bound = 0.625;
  plan.gap = 0.0;
  plan.sum_err = 0.625;
  plan.max_err = 0.5;
  plan.numel = 300;
  plan.budget_bits = 1600;
  plan.total_bits = 1500;
  plan.stored_bits = 2000;
  plan.folder_bytes = 12345;
  plan.folder_budget_bytes = 20000;
  plan.constraints = {"pin *=x", "floor re:\\d=4"};
  plan.measurement_hash = content_hash("text");
  plan.warnings = {"mind the gap"};
  return plan;
}

TEST(PlanFile, ReadsBackWhatItWrites) {
  const tests::TempDirectory folder;
  const auto file = folder.path() / "plan.json";
  write_plan(file, full_plan(), formats::Overwrite::no);
  EXPECT_EQ(read_plan(file), full_plan());

  Plan rule = full_plan();
  rule.status = "rule";
  rule.lower_bound.reset();
  rule.gap.reset();
  rule.stored_bits.reset();
  rule.folder_bytes.reset();
  rule.folder_budget_bytes.reset();
  rule.constraints.clear();
  EXPECT_EQ(parse_plan(plan_text(rule), "p"), rule);
}

TEST(PlanFile, RefusesNamingTheField) {
  const auto refuses = [](const std::string& from, const std::string& to,
                          std::initializer_list<std::string> parts) {
    std::string text = plan_text(full_plan());
    const std::size_t place = text.find(from);
    ASSERT_NE(place, std::string::npos) << from;
    text.replace(place, from.size(), to);
    expect_refusal([&] { parse_plan(text, "plan.json"); }, ExitCode::bad_data, parts);
  };
  refuses("\"shardquant_plan\": 1", "\"shardquant_plan\": 2", {"plan.json", "shardquant_plan"});
  refuses("\"total_bits\": 1500", "\"total_bits\": -1", {"total_bits"});
  refuses("\"objective\": \"sum\",", "", {"objective", "missing"});
  refuses("\"key\": \"a.0.x\"", "\"key\": \"other\"", {"layers[0].key"});
  refuses("\"err\": 0.125", "\"err\": 2", {"layers[0].err"});
  refuses("\"a.0.x\": \"1.0:8b", "\"a.0.x\": \"1.0:7b", {"choices", "none of the recipes"});
  refuses("\"gap\": 0.0", "\"gap\": true", {"gap"});
}

TEST(PlanFile, HashesContent) {
  // XXH3-128 of the empty text, from the specification of xxHash.
  EXPECT_EQ(content_hash(""), "xxh3-128:99aa06d3014798d86001c324468d497f");
  EXPECT_NE(content_hash("a"), content_hash("b"));
}

TEST(PythonNumber, WritesWhatPythonWrites) {
  EXPECT_EQ(python_number(1.0), "1.0");
  EXPECT_EQ(python_number(0.1), "0.1");
  EXPECT_EQ(python_number(-2.5), "-2.5");
  EXPECT_EQ(python_number(145764352.0), "145764352.0");
  EXPECT_EQ(python_number(2.17205810546875), "2.17205810546875");
  EXPECT_EQ(python_number(100000.0), "100000.0");
  EXPECT_EQ(python_number(0.0001), "0.0001");
  EXPECT_EQ(python_number(0.00001), "1e-05");
  EXPECT_EQ(python_number(1.5e-7), "1.5e-07");
  EXPECT_EQ(python_number(1e15), "1000000000000000.0");
  EXPECT_EQ(python_number(1e16), "1e+16");
  EXPECT_EQ(python_number(1.2345678901234567e300), "1.2345678901234567e+300");
  EXPECT_EQ(python_number(0.0), "0.0");
  EXPECT_EQ(python_number(-0.0), "-0.0");
  EXPECT_EQ(python_number(5e-324), "5e-324");
  for (const double none : {NAN, INFINITY}) {
    expect_refusal([&] { python_number(none); }, ExitCode::internal, {"JSON"});
  }
}

}  // namespace
}  // namespace shardquant::records
