#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "pipeline/report/run_report.hpp"

namespace shardquant::tests {
namespace {

using nlohmann::json;
using report::RunReport;
using testing::HasSubstr;
using testing::Not;

RunReport small_report() {
  RunReport report;
  report.model = {"stories", "Llama", 1, 4096};
  report.output.bpw = 0.1;
  report.layers = {{"model.layers.0.self_attn.q_proj", 0, "q_proj", "1.0:4b 32g s4", 4.125, 0.01}};
  report.frontier = {{3.0, 2.9, 1.0 / 3.0, std::nullopt, 1.0 / 3.0, 0.1}};
  report.stages = {{"measure", 2.0, {2.0, 1.5}}};
  report.run.ranks = 2;
  return report;
}

TEST(RunReport, numbers_read_back_as_they_were) {
  const json read = json::parse(report::report_json(small_report()));
  EXPECT_EQ(read["output"]["bpw"].get<double>(), 0.1);
  EXPECT_EQ(read["frontier"][0]["value"].get<double>(), 1.0 / 3.0);
  EXPECT_TRUE(read["frontier"][0]["lower_bound"].is_null());
  EXPECT_EQ(read["layers"][0]["role"], "q_proj");
  EXPECT_TRUE(read["layers"][0]["sensitivity"].is_null());
  RunReport measured = small_report();
  measured.layers[0].sensitivity = 0.7;
  EXPECT_EQ(json::parse(report::report_json(measured))["layers"][0]["sensitivity"].get<double>(),
            0.7);
  EXPECT_EQ(read["stages"][0]["busy_s"][1].get<double>(), 1.5);
  EXPECT_TRUE(read["evaluation"].is_null());
}

TEST(RunReport, what_json_cannot_hold_is_replaced) {
  RunReport report = small_report();
  report.output.sum_err = std::numeric_limits<double>::quiet_NaN();
  report.model.name =
      "a\xff"
      "b";
  const json read = json::parse(report::report_json(report));
  EXPECT_TRUE(read["output"]["sum_err"].is_null());
  EXPECT_EQ(read["model"]["name"],
            "a\xef\xbf\xbd"
            "b");
}

TEST(RunReport, the_page_is_complete_and_names_cannot_leave_the_data) {
  RunReport report = small_report();
  report.model.name = "</script><script>alert(1)</script><!-- {{script}}";
  const std::string text = report::report_json(report);
  const std::string page = report::report_page(text);
  const std::string opening = R"(<script type="application/json" id="data">)";
  const std::size_t begin = page.find(opening) + opening.size();
  const std::size_t end = page.find("</script>", begin);
  // The element ends where the JSON does, and the JSON is what it was.
  EXPECT_EQ(json::parse(page.substr(begin, end - begin)), json::parse(text));
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(page, Not(HasSubstr("{{style}}")));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(page, HasSubstr("drawFrontier();"));
  // Nothing is asked of a network.
  for (const char* address : {"src=", "url(", "@import", "fetch("}) {
    EXPECT_THAT(page, Not(HasSubstr(address)));
  }
}

}  // namespace
}  // namespace shardquant::tests
