#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <random>

#include "pipeline/config/yaml_tree.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/config/config_test.hpp"

namespace shardquant::tests {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

std::string as_utf16(const std::string& text, const std::string& mark) {
  std::string result = mark;
  for (const char c : text) {
    result += c;
    result += '\0';
  }
  return result;
}

// Ten levels of ten references each to the level before.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 10; ++level) {
    const std::string alias = "*a" + std::to_string(level - 1);
    text += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + alias;
    text += repeated(", " + alias, 9) + "]\n";
  }
  return text;
}

struct BadCase {
  std::string name;
  std::string text;
  std::string place_and_path;  // as it stands in the message
  std::string reason;

  friend void PrintTo(const BadCase& bad, std::ostream* stream) { *stream << bad.name; }
};

std::vector<BadCase> bad_cases() {
  const std::string& good = kExample;
  using std::string_literals::operator""s;
  return {
      {"Empty", "", "1:1: document", "empty"},
      {"OnlyComments", "# nothing\n\n# at all\n", "1:1: document", "empty"},
      {"OnlyMarker", "---\n", "", "expects a map"},
      {"Scalar", "version", "1:1: document", "expects a map"},
      {"List", "- version: 1\n", "1:1: document", "expects a map"},
      {"DeepFlow", "version: 1\nmodel: " + repeated("[", 100'000), "2:", ""},
      {"DeepFlowClosed", repeated("[", 100'000) + repeated("]", 100'000), "1:17: ", "nested"},
      {"DeepMaps", "model: " + repeated("{a: ", 100'000), "1:", "nested"},
      {"DeepBlock", "model:\n  " + repeated("- ", 100'000) + "x\n", "2:", "nested"},
      {"DeepQuestion", repeated("? ", 100'000), "1:", ""},
      {"AliasBomb", alias_bomb(), "1:5: a0", "anchor"},
      {"Cycle", "version: 1\nmodel: &m {path: *m}\n", "2:8: model", "anchor"},
      {"Anchor", replaced(good, "rows: 64", "rows: &r 64"), "3:41: calibration.rows", "anchor"},
      {"AnchoredKey", "&k version: 1\n", "1:1: document", "anchor"},
      {"AnchoredNull", "version: &v\n", "1:10: version", "anchor"},
      {"Alias", "version: *v\n", "1:10: ", ""},
      {"MergeKey", good + "<<: {version: 1}\n", "10:1: document", "merge key"},
      {"MergeKeyInside", replaced(good, "{dir: work}", "{<<: [], dir: work}"), "8:8: work",
       "merge key"},
      {"Tag", replaced(good, "rows: 64", "rows: !!int 64"), "3:41: calibration.rows", "a tag"},
      {"LocalTag", replaced(good, "rows: 64", "rows: !x 64"), "3:41: calibration.rows", "a tag"},
      {"BareTag", replaced(good, "path: models", "path: ! models"), "2:15: model.path", "a tag"},
      {"BareTagQuoted", replaced(good, "models/demo", "! 'm'"), "2:15: model.path", "a tag"},
      {"TagOnMap", replaced(good, "work: {", "work: !!map {"), "8:7: work", "a tag"},
      {"TagOnNothing", replaced(good, "models/demo", "!!str"), "2:15: model.path", "a tag"},
      {"TagOnKey", "!!str version: 1\n", "1:1: document", "a tag"},
      {"CodeTag", replaced(good, "models/demo", "!!python/object/apply:os.system [ls]"),
       "2:15: model.path", "a tag"},
      {"TwoDocuments", good + "---\nversion: 1\n", "", "second document"},
      {"SecondAfterEnd", good + "...\nversion: 1\n", "", "second document"},
      {"DuplicateTop", good + "version: 1\n", "10:1: version",
       "given twice; the first is in line 1"},
      {"DuplicateSection", good + "work: {dir: x}\n", "10:1: work", "line 8"},
      {"DuplicateInside", replaced(good, "rows: 64", "rows: 64, rows: 64"),
       "3:45: calibration.rows", "given twice"},
      {"DuplicateQuoted", replaced(good, "rows: 64", "rows: 64, 'rows': 6"),
       "3:45: calibration.rows", "given twice"},
      {"DuplicateInUnknown", good + "x: {y: {z: 1, z: 2}}\n", "10:15: x.y.z", "given twice"},
      {"MapAsKey", "{a: 1}: 2\n", "1:", "key must be"},
      {"ListAsKey", "? [a]\n: 2\n", "1:3: document", "key must be"},
      {"NullKey", "~: 2\n", "1:1: document", "key is missing"},
      {"EmptyKey", ": 2\n", "1:", "key is missing"},
      {"SectionIsScalar", replaced(good, "{dir: work}", "work"), "8:7: work", "expects a map"},
      {"SectionIsList", replaced(good, "{dir: work}", "[work]"), "8:7: work", "expects a map"},
      {"SectionIsEmpty", replaced(good, "{dir: work}", ""), "8:1: work", "expects a map"},
      {"TabIndent", "version: 1\nmodel:\n\tpath: x\n", "3:1: document", "a tab"},
      {"TabAfterColon", "version:\t1\n", "1:9: document", "a tab"},
      {"Nul", "version: 1\nmodel: {path: a\0b}\n"s, "2:16: document", "NUL"},
      {"ControlCharacter", "version: 1\nmodel: {path: a\x1b[31m}\n", "2:16: document", "\\x1b"},
      {"LoneCarriageReturn", "version: 1\rmodel: {}\n", "1:11: document", "\\x0d"},
      {"ByteOrderMark", "\xef\xbb\xbf" + good, "1:1: document", "byte order mark"},
      {"Utf16Little", as_utf16(good, "\xff\xfe"), "1:1: document", "UTF-16"},
      {"Utf16Big", "\xfe\xff\0v\0e"s, "1:1: document", "UTF-16"},
      {"Utf16WithoutMark", as_utf16(good, ""), "1:2: document", "NUL"},
      {"Latin1", replaced(good, "models/demo", "mod\xe8le"), "2:18: document", "UTF-8"},
      {"OverlongUtf8", replaced(good, "models/demo", "a\xc0\xaf"), "2:16: document", "UTF-8"},
      {"Surrogate", replaced(good, "models/demo", "a\xed\xa0\x80"), "2:16: document", "UTF-8"},
      {"TooLargeCharacter", replaced(good, "models/demo", "a\xf4\x90\x80\x80"), "2:16: ", "UTF-8"},
      {"CutCharacter", "version: 1 # \xe2\x82", "1:14: document", "UTF-8"},
      {"ManyNodes", "x: [" + repeated("1,", 20'000) + "1]\n", "1:", "more than 10000"},
      {"ManyKeys", repeated("k: {},\n", 5) + "x", "1:", ""},
      {"LongText", good + "# " + repeated("x", 1 << 20), "1:1: document", "more than 1048576"},
      {"LongKey", repeated("k", 1 << 19) + ": 1\n", "", ""},
      {"LongUnknownKey", "? " + repeated("k", 900) + "\n: 1\n", "1:3: kkk", "..."},
      {"UnclosedFlow", "version: 1\nmodel: {path: x\n", "", ""},
      {"UnclosedQuote", "version: 1\nmodel: {path: \"x}\n", "", ""},
      {"BadEscape", replaced(good, "models/demo", "\"a\\qb\""), "2:", ""},
      {"EscapedNul", replaced(good, "models/demo", "\"a\\0b\""), "2:15: model.path", "control"},
      {"EscapedBreak", replaced(good, "models/demo", "\"a\\nb\""), "2:15: model.path", "control"},
      {"BlockScalarBreak", replaced(good, "{path: models/demo}", "\n  path: |\n    a\n    b"),
       "3:9: model.path", "control"},
      {"BadIndent", "version: 1\nmodel:\n   path: x\n  y: z\n", "4:", ""},
      {"HomeFolder", replaced(good, "models/demo", "~/models"), "2:15: model.path", "in full"},
      {"LongPath", replaced(good, "models/demo", repeated("x", 5000)), "2:15: model.path", "bytes"},
      {"YamlDirective", "%YAML 3.0\n---\n" + good, "1:", ""},
  };
}

class BadYaml : public testing::TestWithParam<BadCase> {};

TEST_P(BadYaml, IsRefusedQuicklyWithLineAndPath) {
  const Refusal refused = refusal_of(GetParam().text);
  EXPECT_EQ(refused.code, ExitCode::config);
  EXPECT_THAT(refused.text, MatchesRegex("job\\.yaml:[0-9]+:[0-9]+: [^:]+: .+"));
  EXPECT_THAT(refused.text, HasSubstr("job.yaml:" + GetParam().place_and_path));
  EXPECT_THAT(refused.text, HasSubstr(GetParam().reason));
  EXPECT_LT(refused.text.size(), 600U);
  EXPECT_EQ(refused.text.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_LT(refused.seconds, 1.0);
}

INSTANTIATE_TEST_SUITE_P(List, BadYaml, testing::ValuesIn(bad_cases()),
                         [](const auto& bad) { return bad.param.name; });

TEST(BadYamlFile, A100MegabyteFileIsRefusedUnread) {
  const TempDirectory folder;
  const std::filesystem::path file = folder.path() / "job.yaml";
  std::ofstream(file) << kExample << "# ";
  std::filesystem::resize_file(file, 100 << 20);
  const Refusal refused = refusal([&] { config::read_run_config(file, {}); });
  EXPECT_EQ(refused.code, ExitCode::config);
  EXPECT_THAT(refused.text, HasSubstr(":1:1: document: more than 1048576 bytes"));
  EXPECT_LT(refused.seconds, 1.0);
}

TEST(BadYamlFile, DamageIsEitherRefusedOrHarmless) {
  std::mt19937_64 random(3);
  const std::string pieces = "{}[]:,-?&*!|>'\"%@`#~\n \t\\<0.";
  for (int round = 0; round < 20'000; ++round) {
    std::string text = kExample;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int change = 0; change < changes; ++change) {
      const std::size_t at = random() % text.size();
      const std::size_t other = random() % text.size();
      switch (random() % 4) {
        case 0:
          text.erase(at, random() % 8);
          break;
        case 1:
          text.insert(at, 1 + random() % 3, pieces[random() % pieces.size()]);
          break;
        case 2:
          text.insert(at, text.substr(other, random() % 40));
          break;
        default:
          text[at] = static_cast<char>(random());
      }
      if (text.empty()) text = " ";
    }
    const Refusal refused = refusal_of(text);
    ASSERT_TRUE(refused.code == ExitCode::config || refused.code == ExitCode::done) << text;
    ASSERT_LT(refused.seconds, 1.0) << text;
  }
}

TEST(BadYamlFile, TheWholeListStaysUnder100Megabytes) {
  for (const BadCase& bad : bad_cases()) refusal_of(bad.text);
  rusage usage{};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  EXPECT_LT(usage.ru_maxrss, 100 << 10);
}

TEST(YamlTree, KeepsKindsPlacesAndQuotes) {
  const config::YamlNode root = config::parse_yaml("a: [1, '2', ~]\nb:\n  c: d e\n", "tree.yaml");
  ASSERT_EQ(root.entries.size(), 2U);
  const config::YamlNode& list = root.entries[0].value;
  ASSERT_EQ(list.items.size(), 3U);
  EXPECT_EQ(list.items[0].text, "1");
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_EQ(list.items[2].kind, config::YamlNode::Kind::null);
  const config::YamlNode& inner = root.entries[1].value;
  EXPECT_EQ(inner.entries[0].value.text, "d e");
  EXPECT_EQ(inner.entries[0].value.place.line, 3);
  EXPECT_EQ(inner.entries[0].value.place.column, 6);
}

TEST(YamlTree, DepthAndNodesAreCountedBeforeTheyAreKept) {
  EXPECT_NO_THROW(config::parse_yaml(repeated("[", 16) + repeated("]", 16), "x"));
  EXPECT_THROW(config::parse_yaml(repeated("[", 17) + repeated("]", 17), "x"), Failure);
  EXPECT_NO_THROW(config::parse_yaml("[" + repeated("1,", 9'998) + "1]", "x"));
  EXPECT_THROW(config::parse_yaml("[" + repeated("1,", 9'999) + "1]", "x"), Failure);
}

}  // namespace
}  // namespace shardquant::tests
