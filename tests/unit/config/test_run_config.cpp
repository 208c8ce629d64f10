#include "pipeline/config/run_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <random>

#include "pipeline/config/settings_table.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/config/config_test.hpp"

namespace shardquant::tests {
namespace {

using config::RunConfig;
using testing::HasSubstr;
using testing::StartsWith;

TEST(RunConfig, TakesTheValuesOfTheFile) {
  std::string text = replaced(kExample, "err_norm: pooled", "err_norm: row_mean");
  text = replaced(text, "bpw: 4.0, objective: sum, head_bits: 6",
                  "bpw: 2.25, objective: exl2-2023, head_bits: 16");
  text = replaced(text, "hessians: auto", "hessians: recompute");
  text = replaced(text, "kind: auto, threads: 1", "kind: cpu, threads: 3");
  text +=
      "quantizer: {damping: .12, damping_floor: 1e-6, damping_tries: 3, shrink_low: 0.7,\n"
      "  shrink_high: 1.20, shrink_steps: 96, scale_rounding: exl2-2023}\n";
  const RunConfig config = parse(text);
  EXPECT_EQ(config.version, 1);
  EXPECT_EQ(config.model.path, "/jobs/models/demo");
  EXPECT_EQ(config.calibration.tokens, "/jobs/tokens.i32");
  EXPECT_EQ(config.calibration.rows, 64);
  EXPECT_EQ(config.calibration.length, 256);
  EXPECT_EQ(config.calibration.slice_rows, 8);
  EXPECT_EQ(config.measure.options, "exl2-2023");
  EXPECT_EQ(config.measure.err_norm, "row_mean");
  EXPECT_EQ(config.quantizer.damping, 0.12);
  EXPECT_EQ(config.quantizer.damping_floor, 1e-6);
  EXPECT_EQ(config.quantizer.damping_tries, 3);
  EXPECT_EQ(config.quantizer.shrink_low, 0.7);
  EXPECT_EQ(config.quantizer.shrink_high, 1.2);
  EXPECT_EQ(config.quantizer.shrink_steps, 96);
  EXPECT_EQ(config.quantizer.scale_rounding, "exl2-2023");
  EXPECT_EQ(config.allocate.bpw, 2.25);
  EXPECT_EQ(config.allocate.objective, "exl2-2023");
  EXPECT_EQ(config.allocate.head_bits, 16);
  EXPECT_EQ(config.quantize.hessians, "recompute");
  EXPECT_EQ(config.output.dir, "/jobs/out");
  EXPECT_EQ(config.output.shard_mib, 8192);
  EXPECT_EQ(config.work.dir, "/jobs/work");
  EXPECT_EQ(config.device.kind, "cpu");
  EXPECT_EQ(config.device.threads, 3);
}

TEST(RunConfig, WhatIsLeftOutHasItsDefault) {
  const RunConfig config = parse(
      "version: 1\nmodel: {path: m}\ncalibration: {tokens: t, rows: 1, length: 2}\n"
      "output: {dir: o}\nwork: {dir: w}\n");
  RunConfig expected;
  expected.model.path = "/jobs/m";
  expected.calibration.tokens = "/jobs/t";
  expected.calibration.rows = 1;
  expected.calibration.length = 2;
  expected.output.dir = "/jobs/o";
  expected.work.dir = "/jobs/w";
  EXPECT_EQ(config::resolved_text(config), config::resolved_text(expected));
}

TEST(RunConfig, BlockStyleQuotedKeysAndWindowsLineBreaksAreTheSame) {
  const std::string block =
      "---\r\nversion: 1\r\n'model':\r\n  \"path\": \"models/demo\"\r\ncalibration:\r\n"
      "  tokens: tokens.i32\r\n  rows: +64\r\n  length: 256\r\nallocate:\r\n"
      "  objective: sum\r\noutput:\r\n  dir: 'out'\r\n"
      "work:\r\n  dir: >-\r\n    work\r\n...\r\n";
  EXPECT_EQ(config::resolved_text(parse(block)), config::resolved_text(parse(kExample)));
}

TEST(RunConfig, PathsAreNormalized) {
  const auto path_of = [](const std::string& path) {
    return parse(replaced(kExample, "models/demo", path)).model.path;
  };
  EXPECT_EQ(path_of("/a/./b/../c/"), "/a/c");
  EXPECT_EQ(path_of("../x"), "/x");
  EXPECT_EQ(path_of("'  spaces: and # '"), "/jobs/  spaces: and # ");
  EXPECT_EQ(path_of("'~/x'"), "/jobs/~/x");
  EXPECT_EQ(path_of("010"), "/jobs/010");
  EXPECT_EQ(path_of("/"), "/");
  EXPECT_EQ(path_of("."), "/jobs");
}

TEST(RunConfig, OverridesWinAndTheLastOfThemCounts) {
  const RunConfig config =
      parse(kExample, {"allocate.bpw=3.5", "allocate.bpw=2.5", "measure.err_norm=row_mean",
                       "output.dir=x/../y z", "work.dir='#w'", "calibration.rows= 7 "});
  EXPECT_EQ(config.allocate.bpw, 2.5);
  EXPECT_EQ(config.measure.err_norm, "row_mean");
  EXPECT_EQ(config.output.dir, std::filesystem::current_path() / "y z");
  EXPECT_EQ(config.work.dir, std::filesystem::current_path() / "#w");
  EXPECT_EQ(config.calibration.rows, 7);
}

TEST(RunConfig, OverridesMayGiveWhatTheFileLacks) {
  const std::string text = replaced(kExample, "output: {dir: out, shard_mib: 8192}\n", "");
  EXPECT_EQ(refusal_of(text).text, "job.yaml:1:1: output.dir: missing; expects a path");
  EXPECT_EQ(parse(text, {"output.dir=/o"}).output.dir, "/o");
}

TEST(RunConfig, BadOverridesNameThemselves) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"allocate.bpw", "expects key=value"},
      {"=3", "unknown setting"},
      {"allocate.bwp=3", "did you mean allocate.bpw?"},
      {"bpw=3", "did you mean allocate.bpw?"},
      {"alocate.bpw=3", "unknown section; did you mean allocate?"},
      {"allocate={bpw: 3}", "allocate is a section"},
      {"allocate.bpw=", "found nothing"},
      {"allocate.bpw=  ", "found nothing"},
      {"allocate.bpw=~", "found nothing"},
      {"allocate.bpw=99", "99 is too large"},
      {"allocate.bpw='3.5'", "without quotes"},
      {"allocate.bpw=[3]", "found a list"},
      {"allocate.head_bits=7", "found 7"},
      {"calibration.rows=010", "leading zero"},
      {"output.dir=/data/a #b", "put it in quotes"},
      {"output.dir=a: b", "found a map"},
      {"output.dir=&x y", "an anchor"},
      {"output.dir=!x y", "a tag"},
      {"output.dir=a\n--- b", "second document"},
      {"output.dir=a\tb", "a tab"},
      {"output.dir=\"a\\nb\"", "control characters"},
      {"output.dir=~/x", "in full"},
      {"quantizer.shrink_low=1.5", "above shrink_high"},
      {"version=2", "expects 1"},
  };
  for (const auto& [text, reason] : cases) {
    const Refusal refused = refusal_of(kExample, {text});
    EXPECT_EQ(refused.code, ExitCode::config) << text;
    EXPECT_THAT(refused.text, HasSubstr(reason)) << text;
    EXPECT_THAT(refused.text, StartsWith("-s " + text.substr(0, text.find_first_of("\n\t"))))
        << text;
    EXPECT_EQ(refused.text.find('\n'), std::string::npos) << refused.text;
  }
}

TEST(RunConfig, ReadsAFileRelativeToItsFolder) {
  const TempDirectory folder;
  std::ofstream(folder.path() / "job.yaml") << kExample;
  const RunConfig config = config::read_run_config(folder.path() / "job.yaml", {});
  EXPECT_EQ(config.model.path, folder.path() / "models/demo");
}

TEST(RunConfig, MissingAndUnreadableFilesHaveTheirOwnCodes) {
  const TempDirectory folder;
  const auto code_of = [](const std::filesystem::path& file) {
    const Refusal refused = refusal([&] { config::read_run_config(file, {}); });
    EXPECT_THAT(refused.text, StartsWith(file.string() + ": "));
    return refused.code;
  };
  EXPECT_EQ(code_of(folder.path() / "absent.yaml"), ExitCode::no_input);
  EXPECT_EQ(code_of(folder.path() / "absent" / "job.yaml"), ExitCode::no_input);
  EXPECT_EQ(code_of(folder.path()), ExitCode::no_input);
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(code_of(folder.path() / "pipe"), ExitCode::no_input);
  const std::filesystem::path loop = folder.path() / "loop";
  std::filesystem::create_symlink(loop, loop);
  EXPECT_NE(code_of(loop), ExitCode::done);
}

TEST(RunConfig, ExamplesParse) {
  const std::filesystem::path folder = SHARDQUANT_SOURCE_DIR "/configs";
  EXPECT_EQ(config::read_run_config(folder / "example_small.yaml", {}).allocate.bpw, 4.0);
  EXPECT_EQ(config::read_run_config(folder / "example_large_multi_node.yaml", {}).allocate.bpw,
            4.25);
}

// Any value the table allows, extremes as likely as the rest.
struct RandomValue {
  std::mt19937_64& random;
  RunConfig& config;

  std::int64_t below(std::int64_t count) const {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(count));
  }
  void operator()(const config::IntegerSetting& type) const {
    const std::int64_t ends[] = {type.least, type.most};
    type.field(config) =
        below(4) == 0 ? ends[below(2)] : type.least + below(type.most - type.least + 1);
  }
  void operator()(const config::IntegerChoiceSetting& type) const {
    type.field(config) =
        type.values[static_cast<std::size_t>(below(static_cast<std::int64_t>(type.values.size())))];
  }
  void operator()(const config::RealSetting& type) const {
    const double share = static_cast<double>(below(5)) / 4.0;
    const double any = std::uniform_real_distribution<double>(type.least, type.most)(random);
    type.field(config) = below(2) == 0 ? type.least + share * (type.most - type.least) : any;
  }
  void operator()(const config::WordSetting& type) const {
    type.field(config) =
        type.words[static_cast<std::size_t>(below(static_cast<std::int64_t>(type.words.size())))];
  }
  void operator()(const config::PathSetting& type) const {
    static const std::vector<std::string> kPieces = {
        "a", "B", "/", "'", "\"", "\\", ": ", " #", "~",    "{", "}", "[",  "&", "*",  "!",
        "|", ">", "%", "@", "`",  "-",  "? ", "é",  "日本", "𝄞", ",", "..", "0", "<<", "\u2028"};
    std::string path = "/";
    const std::int64_t pieces = 1 + below(40);
    for (std::int64_t i = 0; i < pieces; ++i) {
      path += kPieces[static_cast<std::size_t>(below(static_cast<std::int64_t>(kPieces.size())))];
    }
    path += "x";
    type.field(config) = std::filesystem::path(path).lexically_normal();
  }
  void operator()(const config::TextSetting& type) const {
    static const std::vector<std::string> kPieces = {"<|", "\n", "\"", "\\", " ", "#", "é", ": "};
    std::string text;
    for (std::int64_t i = below(8); i > 0; --i) {
      text += kPieces[static_cast<std::size_t>(below(static_cast<std::int64_t>(kPieces.size())))];
    }
    type.field(config) = text;
  }
  void operator()(const config::TextListSetting& type) const {
    static const std::vector<std::string> kTexts = {"*.o_proj=5", "re:a\\.[bc]$=4", "'=3",
                                                    "\"=2",       ": =6",           "é=8"};
    std::vector<std::string> texts;
    for (std::int64_t i = below(4); i > 0; --i) {
      texts.push_back(
          kTexts[static_cast<std::size_t>(below(static_cast<std::int64_t>(kTexts.size())))]);
    }
    type.field(config) = texts;
  }
  void operator()(const config::SourceListSetting& type) const {
    std::vector<RunConfig::Source> sources(static_cast<std::size_t>(1 + below(4)));
    for (RunConfig::Source& source : sources) {
      source.path = "/a: b/" + std::to_string(below(100));
      source.kind = config::source_kinds()[static_cast<std::size_t>(below(6))];
      source.field = below(2) == 0 ? "text" : "the \"field\"";
      source.weight = std::uniform_real_distribution<double>(1e-6, 1e6)(random);
    }
    type.field(config) = sources;
  }
};

// Of what says how many bits there are only one is given; the default takes the place of bpw.
void keep_one_budget(RunConfig::Allocate& allocate, std::int64_t which) {
  if (which != 0) allocate.size.clear();
  if (which != 1) allocate.plan.clear();
  if (which != 2) allocate.bpw = RunConfig{}.allocate.bpw;
}

// Of the places that rows may come from only one is given.
void keep_one_place(RunConfig::Calibration& calibration, std::int64_t which) {
  if (which != 0) calibration.tokens.clear();
  if (which != 1) calibration.text.clear();
  if (which != 2) calibration.sources.clear();
  if (which != 0) return;
  calibration.measurement_rows = 0;
  calibration.validation_rows = 0;
}

TEST(RunConfig, ResolvedTextReadBackGivesTheSameText) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 1000; ++round) {
    RunConfig config;
    for (const config::Setting& setting : config::settings_table()) {
      std::visit(RandomValue{random, config}, setting.type);
    }
    if (config.quantizer.shrink_low > config.quantizer.shrink_high) {
      std::swap(config.quantizer.shrink_low, config.quantizer.shrink_high);
    }
    if (config.output.format == "exl2") config.measure.asymmetric = "false";  // has no others
    keep_one_place(config.calibration, round % 3);
    keep_one_budget(config.allocate, round / 3 % 3);
    const std::string text = config::resolved_text(config);
    const RunConfig again = config::parse_run_config(text, "resolved.yaml", "/elsewhere", {});
    ASSERT_EQ(config::resolved_text(again), text);
    ASSERT_EQ(again.model.path, config.model.path);
    ASSERT_EQ(again.calibration.sources, config.calibration.sources);
    ASSERT_EQ(again.calibration.document_separator, config.calibration.document_separator);
    ASSERT_EQ(again.allocate.bpw, config.allocate.bpw);
    ASSERT_EQ(again.quantizer.damping_floor, config.quantizer.damping_floor);
  }
}

}  // namespace
}  // namespace shardquant::tests
