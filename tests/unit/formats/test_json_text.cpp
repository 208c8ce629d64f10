#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::formats {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  try {
    JsonText::parse(text, "a.json", limits);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    EXPECT_THAT(failure.what(), HasSubstr("a.json"));
    return failure.what();
  }
  return "";
}

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    return failure.what();
  }
  return "";
}

TEST(JsonText, ReadsValuesInOrder) {
  const JsonText text = JsonText::parse(
      R"({"b": [1, -2.5, true, null, "x\u00e9\ud83d\ude00"], "a": {"big": 9223372036854775807}})",
      "a.json");
  const JsonNode root = text.root();
  ASSERT_EQ(root.size(), 2);
  EXPECT_EQ(root.member_name(0), "b");
  EXPECT_EQ(root.member_name(1), "a");
  const JsonNode list = root.at("b");
  ASSERT_EQ(list.size(), 5);
  EXPECT_EQ(list.at(std::int64_t{0}).as_integer(0, 5), 1);
  EXPECT_EQ(list.at(1).as_number(-10, 10), -2.5);
  EXPECT_TRUE(list.at(2).as_bool());
  EXPECT_TRUE(list.at(3).is_null());
  EXPECT_EQ(list.at(4).as_string(), "x\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(root.at("a").integer("big", 0, INT64_MAX), INT64_MAX);
  EXPECT_EQ(root.member(1).at("big").path(), "a.big");
}

TEST(JsonText, RefusesDuplicateNamesWithTheirPath) {
  EXPECT_THAT(refusal(R"({"a": 1, "b": 2, "a": 1})"), HasSubstr("a.json: a: given twice"));
  EXPECT_THAT(refusal(R"({"m": [{}, {"x": {"k.v": 1, "k.v": 2}}]})"),
              HasSubstr(R"(m[1].x."k.v": given twice)"));
  EXPECT_THAT(refusal(R"({"a": 1, "\u0061": 2})"), HasSubstr("given twice"));
}

TEST(JsonText, RefusesWhatIsNotStrictJson) {
  for (const std::string_view text :
       {"",          " ",         "{",       "[1,",      "[1,]",       "{\"a\":1,}", "{a:1}",
        "'a'",       "[1] x",     "[1] [2]", "nul",      "01",         "+1",         ".5",
        "1.",        "0x10",      "NaN",     "Infinity", "[\"\x01\"]", "[\"a\nb\"]", "// c\n1",
        "/* c */ 1", "\"\\x41\"", "\"abc",   "[1}",      "1e400",      "-1e400"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

TEST(JsonText, RefusesBytesOutsideUtf8AndSurrogatesAlone) {
  EXPECT_NE(refusal("[\"\xff\"]"), "");
  EXPECT_NE(refusal("[\"\xc0\x80\"]"), "") << "overlong";
  EXPECT_NE(refusal("[\"\xed\xa0\x80\"]"), "") << "surrogate in UTF-8";
  EXPECT_NE(refusal(R"(["\ud800"])"), "");
  EXPECT_NE(refusal(R"(["\udc00 "])"), "");
  EXPECT_THAT(refusal("\xEF\xBB\xBF{}"), HasSubstr("byte order mark"));
  EXPECT_THAT(refusal(std::string_view("{}\0garbage", 10)), HasSubstr("NUL"));
}

TEST(JsonText, LimitsDepthAndLength) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_THAT(refusal(deep), HasSubstr("deep"));
  EXPECT_EQ(refusal("[[[1]]]", {.depth = 3}), "");
  EXPECT_THAT(refusal("[[[[1]]]]", {.depth = 3}), HasSubstr("deep"));
  EXPECT_EQ(refusal("[[],[],[],[[]]]", {.depth = 3}), "") << "siblings do not add up";
  EXPECT_THAT(refusal("[1, 2]", {.bytes = 5}), HasSubstr("at most 5"));
}

TEST(JsonText, MessagesStayShortAndPrintable) {
  const std::string text = "[\"" + std::string(1 << 20, '\x1b') + "\"]";
  const std::string message = refusal(text);
  EXPECT_LT(message.size(), 400u);
  for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20u);
}

TEST(JsonText, IntegersAreBoundedAndExact) {
  const JsonText text = JsonText::parse(
      R"({"f": 2.0, "e": 2e0, "h": 9223372036854775808, "g": 1000000000000000000000000, "n": -1, "s": "3"})",
      "a.json");
  const JsonNode root = text.root();
  EXPECT_THAT(message_of([&] { root.integer("f", 0, 9); }), HasSubstr("f: must be an integer"));
  EXPECT_THAT(message_of([&] { root.integer("e", 0, 9); }), HasSubstr("must be an integer"));
  EXPECT_THAT(message_of([&] { root.integer("h", 0, INT64_MAX); }), HasSubstr("outside"));
  EXPECT_THAT(message_of([&] { root.integer("g", 0, INT64_MAX); }), HasSubstr("outside"));
  EXPECT_THAT(message_of([&] { root.integer("n", 0, 9); }), HasSubstr("n: -1 is outside [0, 9]"));
  EXPECT_THAT(message_of([&] { root.integer("s", 0, 9); }), HasSubstr("must be an integer"));
  EXPECT_THAT(message_of([&] { root.integer("zzz", 0, 9); }), HasSubstr("\"zzz\" is missing"));
  EXPECT_EQ(root.number("h", 0, 1e30), 9223372036854775808.0);
  EXPECT_EQ(root.number("f", 0, 9), 2.0);
}

TEST(JsonText, OptionalMembersFallBackOnMissingAndNullOnly) {
  const JsonText text = JsonText::parse(R"({"a": null, "b": "text", "c": 4})", "a.json");
  const JsonNode root = text.root();
  EXPECT_EQ(root.integer_or("a", 7, 0, 9), 7);
  EXPECT_EQ(root.integer_or("z", 7, 0, 9), 7);
  EXPECT_EQ(root.integer_or("c", 7, 0, 9), 4);
  EXPECT_EQ(root.string_or("b", "x"), "text");
  EXPECT_EQ(root.number_or("z", 0.5, 0, 1), 0.5);
  EXPECT_TRUE(root.boolean_or("z", true));
  EXPECT_THAT(message_of([&] { root.boolean_or("c", true); }), HasSubstr("c: must be true"));
  EXPECT_THAT(message_of([&] { root.integer_or("b", 0, 0, 9); }), HasSubstr("b: must be"));
  EXPECT_THAT(message_of([&] { root.at("c").at("d"); }), HasSubstr("c: must be an object"));
  EXPECT_THAT(message_of([&] { root.at(std::int64_t{0}); }),
              HasSubstr("(top level): must be an array"));
}

TEST(JsonText, ReadsOnlyRegularFilesAndNamesThem) {
  const tests::TempDirectory folder;
  const auto code_of = [](const std::filesystem::path& path) {
    try {
      JsonText::read(path, {.bytes = 100});
    } catch (const Failure& failure) {
      EXPECT_THAT(failure.what(), HasSubstr(path.string()));
      return failure.code();
    }
    return ExitCode::done;
  };
  const auto path = folder.path() / "a.json";
  EXPECT_EQ(code_of(path), ExitCode::no_input);
  std::ofstream(path) << "{\"a\": 1}";
  EXPECT_EQ(code_of(path), ExitCode::done);
  EXPECT_EQ(code_of(folder.path()), ExitCode::bad_data);
  ASSERT_EQ(mkfifo((folder.path() / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(code_of(folder.path() / "fifo"), ExitCode::bad_data);
  std::ofstream(path) << std::string(101, ' ');
  EXPECT_EQ(code_of(path), ExitCode::bad_data);
}

TEST(JsonQuote, EscapesForPrinting) {
  EXPECT_EQ(json_quote("a\"b\\c\n\x01"), R"("a\"b\\c\n\u0001")");
  EXPECT_EQ(json_quote("\xff"), "\"\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace shardquant::formats
