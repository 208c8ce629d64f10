#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>

#include "pipeline/config/nearest_name.hpp"
#include "pipeline/config/settings_reference.hpp"
#include "pipeline/config/settings_table.hpp"
#include "tests/unit/config/config_test.hpp"

namespace shardquant::tests {
namespace {

using config::Setting;
using testing::HasSubstr;
using testing::MatchesRegex;

// A valid job in block style, with one setting's value replaced.
std::string job_with(const Setting& changed, const std::string& value) {
  std::string text;
  std::string section;
  const config::RunConfig example = parse(replaced(kExample, "tokens: tokens.i32", "text: t"));
  for (const Setting& setting : config::settings_table()) {
    const bool is_changed = setting.path == changed.path;
    if (!is_changed && !config::has_value(setting, example)) continue;
    if (setting.section() != section) {
      section = setting.section();
      text += section + ":\n";
    }
    text += (section.empty() ? "" : "  ") + setting.key() + ": " +
            (is_changed ? value : config::value_text(setting, example)) + "\n";
  }
  return text;
}

void expect_refused_at(const Setting& setting, const std::string& value,
                       const std::string& reason = "") {
  const Refusal refused = refusal_of(job_with(setting, value));
  EXPECT_EQ(refused.code, ExitCode::config) << setting.path << ": " << value;
  EXPECT_THAT(refused.text, MatchesRegex("job\\.yaml:[0-9]+:[0-9]+: [a-z_.]+(\\[0\\])?: .*"));
  EXPECT_THAT(refused.text, HasSubstr(": " + setting.path)) << value;
  EXPECT_THAT(refused.text, HasSubstr(reason)) << value;
  EXPECT_LT(refused.seconds, 1.0);
}

bool is_list(const Setting& setting) {
  return std::holds_alternative<config::SourceListSetting>(setting.type);
}

bool is_list_of_texts(const Setting& setting) {
  return std::holds_alternative<config::TextListSetting>(setting.type);
}

bool takes_any_text(const Setting& setting) {
  return std::holds_alternative<config::TextSetting>(setting.type);
}

bool is_number(const Setting& setting) {
  return !std::holds_alternative<config::WordSetting>(setting.type) &&
         !std::holds_alternative<config::PathSetting>(setting.type) && !takes_any_text(setting) &&
         !is_list(setting) && !is_list_of_texts(setting);
}

TEST(Settings, EveryOneRefusesValuesOfAnotherType) {
  for (const Setting& setting : config::settings_table()) {
    if (is_list_of_texts(setting)) {
      for (const char* value : {"[[1]]", "[{a: 1}]", "[a, ~]", "''", "[a, '']"}) {
        expect_refused_at(setting, value, "expects texts");
      }
    } else {
      expect_refused_at(setting, "[1]", is_list(setting) ? "source 1" : "found a list");
    }
    expect_refused_at(setting, "{a: 1}", "found a map");
    expect_refused_at(setting, "", "found nothing");
    expect_refused_at(setting, "~", "found nothing");
    if (takes_any_text(setting) || is_list_of_texts(setting)) continue;
    expect_refused_at(setting, "''");
    if (std::holds_alternative<config::PathSetting>(setting.type)) continue;
    const auto* words = std::get_if<config::WordSetting>(&setting.type);
    const bool is_switch = words != nullptr && words->words.front() == "false";
    if (!is_switch) expect_refused_at(setting, "true");
    expect_refused_at(setting, "no");
  }
}

TEST(Settings, OneTextMayStandWithoutTheList) {
  using Texts = std::vector<std::string>;
  for (const Setting& setting : config::settings_table()) {
    const auto* type = std::get_if<config::TextListSetting>(&setting.type);
    if (type == nullptr) continue;
    config::RunConfig alone = parse(job_with(setting, "'*.o_proj=5'"));
    EXPECT_EQ(type->field(alone), Texts{"*.o_proj=5"}) << setting.path;
    config::RunConfig two = parse(job_with(setting, "['a=1', b=2]"));
    EXPECT_EQ(type->field(two), (Texts{"a=1", "b=2"})) << setting.path;
  }
}

TEST(Settings, OfBitsSizeAndPlanOneIsGiven) {
  EXPECT_THAT(refusal_of(replaced(kExample, "bpw: 4.0", "bpw: 4.0, size: 1GB")).text,
              HasSubstr("allocate.bpw and allocate.size are given"));
  const config::RunConfig sized = parse(replaced(kExample, "bpw: 4.0", "size: 1GB"));
  EXPECT_EQ(sized.allocate.size, "1GB");
  // What is written down for restarts and other ranks reads back the same.
  EXPECT_EQ(parse(config::resolved_text(sized)).allocate.size, "1GB");
}

TEST(Settings, ADecimalCommaIsAnsweredWithThePoint) {
  const Setting& bpw = *config::find_setting("allocate.bpw");
  expect_refused_at(bpw, "4,25", "write it with a point: 4.25");
  EXPECT_THAT(refusal_of(replaced(kExample, "bpw: 4.0", "bpw: 4,25")).text, HasSubstr("as 4.0"));
}

TEST(Settings, EveryNumberRefusesWhatOtherReadersTakeForNumbers) {
  for (const Setting& setting : config::settings_table()) {
    if (!is_number(setting)) continue;
    expect_refused_at(setting, "'1'", "without quotes");
    expect_refused_at(setting, "\"1\"", "without quotes");
    for (const char* text : {"010", "0x10", "0o17", "0b1", "-01"}) {
      expect_refused_at(setting, text, "leading zero");
    }
    expect_refused_at(setting, "1_000", "without '_'");
    expect_refused_at(setting, "1:30", "without colons");
    for (const char* text : {".nan", ".NaN", "nan", ".inf", "-.inf", "inf", "+.INF"}) {
      expect_refused_at(setting, text, "finite");
    }
    for (const char* text : {"1e", "--1", "+", "-", ".", "1.2.3", "1,5", "4 bits", "1e5e5", "four",
                             "9223372036854775808", "-9223372036854775809", "1e400"}) {
      expect_refused_at(setting, text);
    }
  }
}

TEST(Settings, EveryIntegerRefusesFractionsAndExponents) {
  for (const Setting& setting : config::settings_table()) {
    if (!is_number(setting) || std::holds_alternative<config::RealSetting>(setting.type)) continue;
    for (const char* text : {"8.0", "1e1", "2.", ".5"}) expect_refused_at(setting, text);
  }
}

TEST(Settings, EveryNumberRefusesWhatIsOutOfRangeAndTakesItsBounds) {
  for (const Setting& setting : config::settings_table()) {
    if (const auto* type = std::get_if<config::IntegerSetting>(&setting.type)) {
      expect_refused_at(setting, std::to_string(type->least - 1), "too small");
      expect_refused_at(setting, std::to_string(type->most + 1), "too large");
      EXPECT_NO_THROW(parse(job_with(setting, std::to_string(type->least)))) << setting.path;
      EXPECT_NO_THROW(parse(job_with(setting, std::to_string(type->most)))) << setting.path;
    }
    if (const auto* type = std::get_if<config::RealSetting>(&setting.type)) {
      expect_refused_at(setting, "-1e-300", "too small");
      expect_refused_at(setting, std::to_string(type->most * 1.01), "too large");
      if (setting.path == "quantizer.shrink_low" || setting.path == "quantizer.shrink_high") {
        continue;
      }
      EXPECT_NO_THROW(parse(job_with(setting, fmt::format("{}", type->least)))) << setting.path;
      EXPECT_NO_THROW(parse(job_with(setting, fmt::format("{}", type->most)))) << setting.path;
    }
    if (std::holds_alternative<config::IntegerChoiceSetting>(setting.type)) {
      expect_refused_at(setting, "7", "found 7");
    }
  }
}

TEST(Settings, TheScaleSearchMustNotRunBackwards) {
  const std::string text = kExample + "quantizer:\n  shrink_low: 1.2\n";
  EXPECT_EQ(refusal_of(text).text,
            "job.yaml:11:15: quantizer.shrink_low: shrink_low is 1.2, above shrink_high, which is "
            "1");
  EXPECT_EQ(refusal_of(kExample + "quantizer: {shrink_high: 0.5}\n").text,
            "job.yaml:10:26: quantizer.shrink_high: shrink_low is 0.75, above shrink_high, which "
            "is 0.5");
  EXPECT_NO_THROW(parse(kExample + "quantizer: {shrink_low: 1, shrink_high: 1}\n"));
}

TEST(Settings, WordsAreCheckedAndTheNearestIsNamed) {
  const Setting& objective = *config::find_setting("allocate.objective");
  expect_refused_at(objective, "nil", "did you mean nll?");
  expect_refused_at(objective, "Sum", "did you mean sum?");
  expect_refused_at(objective, "minimax", "expects sum, nll, sum_squares, log, minimax_sum");
  EXPECT_EQ(parse(job_with(objective, "\"nll\"")).allocate.objective, "nll");
}

TEST(Settings, WhatIsRequiredIsMissedInItsSection) {
  // Of the places that calibration rows may come from one must be given, whichever.
  const auto is_given = [](const Setting& setting) {
    return setting.required || setting.path == "calibration.tokens";
  };
  for (const Setting& left_out : config::settings_table()) {
    if (left_out.path == "calibration.tokens") continue;
    std::string text;
    std::string section;
    for (const Setting& setting : config::settings_table()) {
      if (!is_given(setting) || setting.path == left_out.path) continue;
      if (setting.section() != section) {
        section = setting.section();
        text += section + ":\n";
      }
      text += (section.empty() ? "" : "  ") + setting.key() + ": " +
              config::value_text(setting, parse(kExample)) + "\n";
    }
    const Refusal refused = refusal_of(text);
    EXPECT_EQ(refused.code, left_out.required ? ExitCode::config : ExitCode::done)
        << left_out.path << refused.text;
    if (left_out.required) {
      EXPECT_THAT(refused.text, HasSubstr(": " + left_out.path + ": missing"));
    }
  }
  EXPECT_THAT(refusal_of(replaced(kExample, "tokens: tokens.i32, ", "")).text,
              HasSubstr("job.yaml:3:1: calibration: tokens are missing"));
  EXPECT_THAT(refusal_of(replaced(kExample, "rows: 64, ", "")).text,
              HasSubstr("job.yaml:3:1: calibration.rows: missing"));
}

TEST(Settings, CalibrationRowsComeFromOnePlace) {
  const auto job = [](const std::string& place) {
    return replaced(kExample, "tokens: tokens.i32", place);
  };
  const auto config = parse(
      job("sources: [{path: a.txt}, {path: /b, kind: jsonl, field: content, weight: 2.5}], "
          "document_separator: \"--\\n\", bos: row, seed: 7, dedupe: exact, validation_rows: 3"));
  const auto& sources = config.calibration.sources;
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0], (config::RunConfig::Source{"/jobs/a.txt", "auto", "text", 1.0}));
  EXPECT_EQ(sources[1], (config::RunConfig::Source{"/b", "jsonl", "content", 2.5}));
  EXPECT_EQ(config.calibration.document_separator, "--\n");
  EXPECT_EQ(parse(config::resolved_text(config)).calibration.sources, sources);
  EXPECT_EQ(config::resolved_text(parse(config::resolved_text(config))),
            config::resolved_text(config));
  EXPECT_EQ(parse(job("text: t.txt")).calibration.text, "/jobs/t.txt");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"text: a, tokens: b", "given more than once"},
      {"tokens: b, validation_rows: 2", "put the tokens into sources"},
      {"sources: a", "expects a list of {path, kind, field, weight}, found a value"},
      {"sources: []", "0 sources"},
      {"sources: [a]", "source 1: expects a map, found a value"},
      {"sources: [{kind: text}]", "source 1: path is missing"},
      {"sources: [{path: a}, {path: b, kind: txt}]", "source 2: kind: expects auto"},
      {"sources: [{path: a, weight: 0}]", "source 1: weight: expects a number from 1e-6"},
      {"sources: [{path: a, wieght: 1}]", "source 1: unknown setting 'wieght'"},
      {"sources: [{path: [a]}]", "source 1: path: expects a value, found a list"},
  };
  for (const auto& [place, reason] : cases) {
    const Refusal refused = refusal_of(job(place));
    EXPECT_EQ(refused.code, ExitCode::config) << place;
    EXPECT_THAT(refused.text, HasSubstr(reason)) << place;
  }
}

TEST(Settings, UnknownKeysAreRefusedAtEveryLevelWithAHint) {
  EXPECT_EQ(refusal_of(kExample + "modle: {}\n").text,
            "job.yaml:10:1: modle: unknown setting; did you mean model?");
  EXPECT_EQ(refusal_of(kExample + "bpw: 3\n").text,
            "job.yaml:10:1: bpw: unknown setting; did you mean allocate.bpw?");
  EXPECT_EQ(refusal_of(replaced(kExample, "rows: 64", "row: 64")).text,
            "job.yaml:3:35: calibration.row: unknown setting; did you mean calibration.rows?");
  EXPECT_THAT(refusal_of(kExample + "zzzzzz: 3\n").text, HasSubstr("known here: version, model"));
  EXPECT_THAT(refusal_of(kExample + "allocate.bpw: 3\n").text,
              HasSubstr("allocate.bpw: unknown setting"));
  EXPECT_THAT(refusal_of(replaced(kExample, "{dir: work}", "{work.dir: work}")).text,
              HasSubstr("work.work.dir: unknown setting"));
  for (const Setting& setting : config::settings_table()) {
    if (setting.section().empty()) continue;
    const std::string open = setting.section() + ": {";
    if (kExample.find(open) == std::string::npos) continue;
    const Refusal refused = refusal_of(replaced(kExample, open, open + "extra_: 1, "));
    EXPECT_EQ(refused.code, ExitCode::config);
    EXPECT_THAT(refused.text, HasSubstr(setting.section() + ".extra_: unknown setting"));
  }
}

TEST(Settings, AnotherSchemaVersionIsSaidFirst) {
  const std::string text = replaced("modle: 3\n" + kExample, "version: 1", "version: 2");
  EXPECT_EQ(refusal_of(text).text, "job.yaml:2:10: version: expects 1, found 2");
}

TEST(Settings, TheTableIsInOrderAndItsDefaultsAreAllowed) {
  std::map<std::string, int> sections;
  std::string section;
  for (const Setting& setting : config::settings_table()) {
    EXPECT_EQ(config::find_setting(setting.path), &setting) << "twice: " << setting.path;
    EXPECT_FALSE(setting.description.empty()) << setting.path;
    if (setting.section() != section) {
      section = setting.section();
      EXPECT_EQ(++sections[section], 1) << "split section: " << section;
    }
    if (setting.required || !config::has_value(setting, config::RunConfig{})) continue;
    EXPECT_NO_THROW(parse(job_with(setting, config::value_text(setting, config::RunConfig{}))))
        << setting.path;
  }
}

TEST(Settings, TheReferencePageIsUpToDate) {
  std::ifstream file(SHARDQUANT_SOURCE_DIR "/configs/settings_reference.md", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, config::settings_reference())
      << "run: cmake --build --preset dev --target update_settings_reference";
}

TEST(NearestName, CountsEditsAgainstTheLengthOfTheWord) {
  const std::vector<std::string> names = {"rows", "length", "slice_rows", "bpw"};
  EXPECT_EQ(config::nearest_name("row", names), "rows");
  EXPECT_EQ(config::nearest_name("ROWS", names), "rows");
  EXPECT_EQ(config::nearest_name("rwos", names), "rows");
  EXPECT_EQ(config::nearest_name("lenght", names), "length");
  EXPECT_EQ(config::nearest_name("slicerow", names), "slice_rows");
  EXPECT_EQ(config::nearest_name("bwp", names), "bpw");
  EXPECT_EQ(config::nearest_name("x", names), "");
  EXPECT_EQ(config::nearest_name("", names), "");
  EXPECT_EQ(config::nearest_name("columns", names), "");
  EXPECT_EQ(config::nearest_name(std::string(1 << 20, 'r'), names), "");
}

}  // namespace
}  // namespace shardquant::tests
