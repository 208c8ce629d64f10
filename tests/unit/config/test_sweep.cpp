#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/config/sweep.hpp"
#include "tests/unit/config/config_test.hpp"

namespace shardquant::tests {
namespace {

using config::Sweep;
using config::SweepPoint;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string with_sweep(const std::string& sweep) {
  return kExample + "sweep: " + sweep + '\n';
}

Sweep sweep_of(const std::string& sweep, const std::vector<std::string>& overrides = {}) {
  return config::parse_sweep(with_sweep(sweep), "job.yaml", "/jobs", overrides);
}

Refusal refused_sweep(const std::string& sweep, const std::vector<std::string>& overrides = {}) {
  return refusal([&] { sweep_of(sweep, overrides); });
}

std::vector<std::string> names_of(const Sweep& sweep) {
  std::vector<std::string> names;
  for (const SweepPoint& point : sweep.points) names.push_back(point.name);
  return names;
}

TEST(Sweep, a_list_makes_jobs_that_share_the_measurement) {
  const Sweep sweep = sweep_of("{bpw: [3.5, 4.0, 6]}");
  EXPECT_THAT(names_of(sweep), ElementsAre("bpw-3.5", "bpw-4", "bpw-6"));
  ASSERT_THAT(sweep.measurements, SizeIs(1));
  EXPECT_EQ(sweep.measurements[0].work.dir, "/jobs/work");
  EXPECT_TRUE(sweep.measurements[0].work.measured_in.empty());
  const config::RunConfig& job = sweep.points[1].job;
  EXPECT_EQ(job.allocate.bpw, 4.0);
  EXPECT_EQ(job.output.dir, "/jobs/out/bpw-4");
  EXPECT_EQ(job.work.dir, "/jobs/work/points/bpw-4");
  EXPECT_EQ(job.work.measured_in, "/jobs/work");
  EXPECT_TRUE(job.work.hessians_in.empty());
  EXPECT_EQ(sweep.output_dir, "/jobs/out");
}

TEST(Sweep, a_point_is_an_ordinary_job) {
  const Sweep sweep = sweep_of("{bpw: [3.5, 5], damping: [0.05, 0.1]}");
  for (const SweepPoint& point : sweep.points) {
    const std::string text = config::resolved_text(point.job);
    EXPECT_EQ(config::resolved_text(config::parse_run_config(text, "again", "/", {})), text);
  }
}

TEST(Sweep, lists_are_combined_the_last_one_fastest) {
  const Sweep sweep = sweep_of("{bpw: [3, 4], objective: [sum, nll]}");
  EXPECT_THAT(names_of(sweep), ElementsAre("bpw-3_objective-sum", "bpw-3_objective-nll",
                                           "bpw-4_objective-sum", "bpw-4_objective-nll"));
  EXPECT_THAT(sweep.measurements, SizeIs(1));
}

TEST(Sweep, zipped_lists_are_taken_in_step) {
  const Sweep sweep = sweep_of("{bpw: [3, 4], head_bits: [4, 8], combine: zip}");
  EXPECT_THAT(names_of(sweep), ElementsAre("bpw-3_head_bits-4", "bpw-4_head_bits-8"));
  EXPECT_EQ(sweep.points[1].job.allocate.head_bits, 8);
  const Refusal refused = refused_sweep("{bpw: [3, 4], head_bits: [4], combine: zip}");
  EXPECT_EQ(refused.code, ExitCode::config);
  EXPECT_THAT(refused.text, HasSubstr("job.yaml:10:8: sweep.combine: zip takes lists of one "
                                      "length; bpw has 2 values, head_bits has 1"));
}

TEST(Sweep, a_rule_gives_the_heads_bits) {
  const Sweep sweep =
      sweep_of("{bpw: [4, 5, 6, 6.5], head_bits: {default: 5, when_bpw_above: {4.5: 6, 6: 8}}}");
  std::vector<std::int64_t> bits;
  for (const SweepPoint& point : sweep.points) bits.push_back(point.job.allocate.head_bits);
  EXPECT_THAT(bits, ElementsAre(5, 6, 6, 8));
  EXPECT_EQ(sweep.points[3].name, "bpw-6.5");
}

TEST(Sweep, points_with_other_damping_share_hessians_those_with_other_rows_nothing) {
  const Sweep sweep = sweep_of("{damping: [0.05, 0.1], rows: [32, 64]}");
  ASSERT_THAT(sweep.measurements, SizeIs(4));
  const auto work = [&](std::size_t m) { return sweep.measurements[m].work; };
  EXPECT_EQ(work(0).dir, "/jobs/work/measured/damping-0.05_rows-32");
  EXPECT_TRUE(work(0).hessians_in.empty());
  EXPECT_TRUE(work(1).hessians_in.empty());
  EXPECT_EQ(work(2).hessians_in, work(0).dir);
  EXPECT_EQ(work(3).hessians_in, work(1).dir);
  EXPECT_EQ(sweep.points[3].job.work.measured_in, work(3).dir);
  EXPECT_EQ(sweep.points[3].job.work.hessians_in, work(1).dir);
}

TEST(Sweep, the_measurement_keeps_the_heads_hessian_where_a_point_needs_it) {
  EXPECT_EQ(sweep_of("{head_bits: [16, 8]}").measurements[0].allocate.head_bits, 8);
  EXPECT_EQ(sweep_of("{head_bits: [16]}").measurements[0].allocate.head_bits, 16);
  // Also where the point is of another measurement, which uses its Hessians.
  const Sweep zipped = sweep_of("{damping: [0.05, 0.2], head_bits: [16, 8], combine: zip}");
  EXPECT_EQ(zipped.measurements[0].allocate.head_bits, 8);
  EXPECT_EQ(zipped.points[0].job.allocate.head_bits, 16);
}

TEST(Sweep, overrides_count_for_all_points_but_not_for_what_is_swept) {
  const Sweep sweep = sweep_of("{bpw: [3, 4]}", {"allocate.objective=nll"});
  EXPECT_EQ(sweep.points[1].job.allocate.objective, "nll");
  const Refusal refused = refused_sweep("{bpw: [3, 4]}", {"allocate.bpw=5"});
  EXPECT_EQ(refused.code, ExitCode::config);
  EXPECT_THAT(refused.text, HasSubstr("-s allocate.bpw: the sweep of job.yaml sets it"));
}

TEST(Sweep, what_is_wrong_is_named_with_its_place) {
  const std::pair<const char*, const char*> cases[] = {
      {"[3, 4]", "job.yaml:10:8: sweep: expects a map of lists"},
      {"{}", "job.yaml:10:8: sweep: names no list of values"},
      {"{combine: zip}", "sweep: names no list of values"},
      {"{bpw: 4}", "job.yaml:10:14: sweep.bpw: expects a list of values"},
      {"{bpw: []}", "sweep.bpw: expects a list of values"},
      {"{bpw: [4, 40]}", "job.yaml:10:18: sweep.bpw: 40 is too large"},
      {"{bpw: [4, four]}", "sweep.bpw: expects a number from 1 to 16, found 'four'"},
      {"{bpw: [4, 4.0]}", "job.yaml:10:1: sweep: has the point bpw-4 twice"},
      {"{bits: [4]}", "job.yaml:10:9: sweep.bits: cannot be swept; known here: bpw,"},
      {"{headbits: [4]}", "sweep.headbits: cannot be swept; did you mean head_bits?"},
      {"{bpw: [4], combine: both}", "sweep.combine: expects product or zip"},
      {"{objective: [sum, summ]}", "sweep.objective: expects sum,"},
      {"{bpw: [4], head_bits: {default: 6}}", "sweep.head_bits: expects a list, or a rule"},
      {"{bpw: [4], head_bits: {default: 6, when_bpw_above: {x: 8}}}",
       "sweep.head_bits.when_bpw_above: expects a number from 1 to 16, found 'x'"},
      {"{bpw: [7], head_bits: {default: 6, when_bpw_above: {6: 9}}}",
       "sweep.head_bits: expects 0, 2, 3, 4, 5, 6, 8 or 16, found 9"},
  };
  for (const auto& [sweep, text] : cases) {
    const Refusal refused = refused_sweep(sweep);
    EXPECT_EQ(refused.code, ExitCode::config) << sweep;
    EXPECT_THAT(refused.text, HasSubstr(text)) << sweep;
  }
}

TEST(Sweep, has_at_most_a_thousand_points) {
  const auto list = [](int values, double first, double step) {
    std::string text;
    for (int i = 0; i < values; ++i) {
      text += (i == 0 ? "" : ", ") + std::to_string(first + step * i);
    }
    return '[' + text + ']';
  };
  EXPECT_THAT(
      sweep_of("{bpw: " + list(100, 2, 0.01) + ", damping: " + list(10, 0.1, 0.1) + "}").points,
      SizeIs(1000));
  EXPECT_THAT(
      refused_sweep("{bpw: " + list(100, 2, 0.01) + ", damping: " + list(11, 0.1, 0.1) + "}").text,
      HasSubstr("sweep: has more than 1000 points"));
}

TEST(Sweep, is_not_run_as_a_single_job_nor_the_other_way_round) {
  const Refusal refused = refusal_of(with_sweep("{bpw: [4]}"));
  EXPECT_EQ(refused.code, ExitCode::config);
  EXPECT_THAT(refused.text, HasSubstr("job.yaml:10:1: sweep: the job is a sweep: its points are "
                                      "run with `shardquant sweep run`"));
  EXPECT_THAT(refusal([] { config::parse_sweep(kExample, "job.yaml", "/jobs", {}); }).text,
              HasSubstr("sweep: missing; the job is a single one"));
}

TEST(Sweep, shares_by_itself) {
  EXPECT_THAT(refused_sweep("{bpw: [4]}", {"work.measured_in=/elsewhere"}).text,
              HasSubstr("shares measurements by itself"));
  EXPECT_THAT(refusal_of(kExample, {"work.measured_in=/jobs/work", "work.dir=/jobs/work"}).text,
              HasSubstr("work.measured_in=/jobs/work: is work.dir itself"));
}

}  // namespace
}  // namespace shardquant::tests
