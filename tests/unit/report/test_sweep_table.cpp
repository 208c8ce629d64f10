#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "pipeline/report/sweep_table.hpp"

namespace shardquant::tests {
namespace {

using nlohmann::json;
using report::RunReport;
using report::SweepRow;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

RunReport finished_report() {
  RunReport report;
  report.output.asked_bpw = 4.0;
  report.output.bpw = 3.9983;
  report.output.head_bits = 6;
  report.output.weight_bytes = 3 << 20;
  report.output.objective = "sum";
  report.output.objective_value = 1.0 / 3.0;
  report.output.lower_bound = 0.333;
  report.evaluation = RunReport::Evaluation{};
  report.evaluation->perplexity = 5.5;
  report.evaluation->plain_perplexity = 5.25;
  report.evaluation->kl_mean = 0.015;
  report.evaluation->rows = 32;
  report.evaluation->rows_hash = "abc";
  report.settings = "version: 1\n";
  return report;
}

std::vector<SweepRow> two_rows() {
  return {{0,
           "bpw-4",
           {{"bpw", "4"}},
           "/out, all/bpw-4",
           report::parse_output_figures(report::report_json(finished_report()))},
          {1, "bpw-5", {{"bpw", "5"}}, "/out, all/bpw-5", std::nullopt}};
}

TEST(OutputFigures, are_those_of_the_report) {
  const auto figures = report::parse_output_figures(report::report_json(finished_report()));
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->output.bpw, 3.9983);
  EXPECT_EQ(figures->output.objective_value, 1.0 / 3.0);
  EXPECT_EQ(figures->output.lower_bound, 0.333);
  ASSERT_TRUE(figures->evaluation);
  EXPECT_EQ(figures->evaluation->perplexity, 5.5);
  EXPECT_EQ(figures->evaluation->weight_bytes, 3 << 20);
  EXPECT_EQ(figures->settings, "version: 1\n");
}

TEST(OutputFigures, are_missing_where_the_text_is_no_report) {
  for (const char* text : {"", "{", "[]", "{\"schema\": 2}", "{\"schema\": 1, \"output\": {}}"}) {
    EXPECT_FALSE(report::parse_output_figures(text)) << text;
  }
}

TEST(SweepTable, says_what_is_known_and_what_is_not) {
  const json read = json::parse(report::sweep_json(two_rows()));
  ASSERT_EQ(read["points"].size(), 2u);
  EXPECT_EQ(read["points"][0]["values"]["bpw"], "4");
  EXPECT_EQ(read["points"][0]["done"], true);
  EXPECT_EQ(read["points"][0]["bpw"], 3.9983);
  EXPECT_EQ(read["points"][0]["perplexity"], 5.5);
  EXPECT_EQ(read["points"][1]["done"], false);
  EXPECT_TRUE(read["points"][1]["bpw"].is_null());
  EXPECT_TRUE(read["points"][1]["perplexity"].is_null());

  const std::string csv = report::sweep_csv(two_rows());
  EXPECT_THAT(csv, StartsWith("number,name,folder,done,asked_bpw,bpw,"));
  EXPECT_THAT(csv, HasSubstr("\r\n0,bpw-4,\"/out, all/bpw-4\",true,4.0,3.9983,"));
  EXPECT_THAT(csv, HasSubstr("\r\n1,bpw-5,\"/out, all/bpw-5\",false,,,,,"));

  const std::string text = report::sweep_text(two_rows());
  EXPECT_THAT(text, HasSubstr("0  bpw-4    3.9983     6  3.00 MiB  sum 0.333333  0.333"));
  EXPECT_THAT(text, HasSubstr("1  bpw-5  not done"));
}

TEST(SweepTable, says_where_figures_cannot_be_compared) {
  std::vector<SweepRow> rows = two_rows();
  rows[1].figures = rows[0].figures;
  EXPECT_THAT(report::sweep_text(rows), Not(HasSubstr("note:")));
  rows[1].figures->rows_hash = "def";
  EXPECT_THAT(report::sweep_text(rows), HasSubstr("note: evaluated on different rows"));
  const json read = json::parse(report::sweep_json(rows));
  EXPECT_EQ(read["points"][1]["rows_xxh3_128"], "def");
  EXPECT_EQ(read["points"][1]["evaluation_rows"], 32);
}

TEST(SweepTable, an_output_without_evaluation_has_no_perplexity) {
  RunReport report = finished_report();
  report.evaluation.reset();
  const auto figures = report::parse_output_figures(report::report_json(report));
  ASSERT_TRUE(figures);
  const json read = json::parse(report::sweep_json({{0, "bpw-4", {}, "/out", figures}}));
  EXPECT_EQ(read["points"][0]["bpw"], 3.9983);
  EXPECT_TRUE(read["points"][0]["perplexity"].is_null());
}

TEST(ReportPoints, take_the_place_of_the_reports_own_and_leave_the_rest) {
  const std::string before = report::report_json(finished_report());
  RunReport::Point point;
  point.bpw = 0.1;
  const json after = json::parse(report::with_points(before, {point, point}));
  EXPECT_EQ(after["points"].size(), 2u);
  EXPECT_EQ(after["points"][1]["bpw"], 0.1);
  json rest = after, old = json::parse(before);
  rest.erase("points");
  old.erase("points");
  EXPECT_EQ(rest, old);
  EXPECT_EQ(report::with_points("{", {}), "");
}

}  // namespace
}  // namespace shardquant::tests
