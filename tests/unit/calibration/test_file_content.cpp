#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/calibration/document_source.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/calibration/calibration_test.hpp"

namespace shardquant::tests {
namespace {

using calibration::SourceKind;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

class RecognizeFile : public testing::Test {
 protected:
  SourceKind kind_of(const std::string& name, const std::string& bytes) {
    return calibration::recognize_file(write_file(folder_.path() / name, bytes));
  }
  Refused refusal_of(const std::string& name, const std::string& bytes) {
    return refused([&] { kind_of(name, bytes); });
  }

  TempDirectory folder_;
};

TEST_F(RecognizeFile, the_content_decides_not_the_name) {
  const std::string lines = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  const std::string list = "\n[\n {\"text\": \"a\"}]";
  for (const char* name : {"a", "a.txt", "a.json", "a.JSONL", "a.jsonl"}) {
    EXPECT_EQ(kind_of(name, lines), SourceKind::jsonl) << name;
    EXPECT_EQ(kind_of(name, list), SourceKind::json) << name;
    EXPECT_EQ(kind_of(name, "[\"a\", \"b\"]"), SourceKind::json) << name;
  }
  EXPECT_EQ(kind_of("one", "{\"text\": \"a line and no end of it\"}"), SourceKind::jsonl);
  EXPECT_EQ(kind_of("long", "{\"text\": \"" + std::string(200'000, 'x') + "\"}\n{}"),
            SourceKind::jsonl);
  EXPECT_EQ(kind_of("a.I32", "{\"text\""), SourceKind::tokens);
  EXPECT_EQ(kind_of("a", "\x08\0\0\0\0\0\0\0{      }"s), SourceKind::safetensors);
}

TEST_F(RecognizeFile, text_that_looks_a_little_like_something_else_is_text) {
  for (const char* text :
       {"", "plain", "[1] A note.", "[[Category:Words]]", "{ and so on",
        "\xEF\xBB\xBF"
        "a",
        "Well, text, she said.", "text", "PAR for the course", "id, text and more\n"}) {
    EXPECT_EQ(kind_of("a.txt", text), SourceKind::text) << text;
  }
  EXPECT_EQ(kind_of("a.jsonl", "no JSON"), SourceKind::jsonl) << "refused by line when read";
}

TEST_F(RecognizeFile, tables_and_binaries_are_refused_with_what_helps) {
  const std::string quoted = "'" + (folder_.path() / "f").string() + "'";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"PAR1....",
       "a Parquet table, not text, JSON or token ids; convert it: python3 -c \"import "
       "pandas; pandas.read_parquet(" +
           quoted + ").to_json('"},
      {"\x93NUMPY\1\0"s, ".astype('<i4').tofile("},
      {"\x1f\x8b\x08",
       "packed by gzip, not text, JSON or token ids; convert it: gzip -dk " + quoted},
      {"\xff\xff\xff\xff\x10"s, "an Arrow table"},
      {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
      {"\xff\xfeh\0i\0"s, "iconv -f UTF-16"},
      {"ab\0c"s, "binary data"},
      {"id,text,label\n1,a,b\n", "pandas.read_csv(" + quoted + ")"},
      {"\"id\"\t\"text\"\n1\ta\n", "sep='\\t'"},
      {"[[1, 2], [3]]", "a JSON list of token ids"},
      {"{\n \"data\": [{\"text\": \"a\"}]\n}", "jq -c '.[\"data\"][]' " + quoted},
      {"{\n \"text\": \"a\"\n}\n{\n \"text\": \"b\"\n}", "jq -c . " + quoted}};
  for (const auto& [bytes, expected] : cases) {
    const Refused refusal = refusal_of("f", bytes);
    EXPECT_EQ(refusal.code, ExitCode::bad_data) << expected;
    EXPECT_THAT(refusal.text, HasSubstr(expected));
    EXPECT_EQ(calibration::source_kind("text", folder_.path() / "f"), SourceKind::text);
  }
  EXPECT_THAT(refusal_of("f.csv", "a,b\n").text, HasSubstr("a CSV table"));
}

TEST(ReadDocuments, a_list_gives_the_field_or_the_strings) {
  const TempDirectory folder;
  const auto read = [&](const std::string& text, const calibration::RenderMessages& render = {}) {
    std::vector<std::string> found;
    const auto file = write_file(folder.path() / "t.json", text);
    const calibration::DocumentRules rules{calibration::source_kind("auto", file), "", "text",
                                           render};
    const auto record = calibration::read_documents(file, rules, [&](const auto& document) {
      found.push_back(std::string(document.text) + (document.is_rendered ? "!" : ""));
      return true;
    });
    EXPECT_EQ(record.bytes, std::ssize(text));
    return found;
  };
  EXPECT_THAT(read(R"([{"text": "a"}, "b", {"text": "c", "n": 1}])"), ElementsAre("a", "b", "c"));
  const auto odd = refused([&] { read(R"([{"text": "a"}, {"body": "b"}])"); });
  EXPECT_EQ(odd.code, ExitCode::bad_data);
  EXPECT_THAT(odd.text, HasSubstr("t.json: [1]: \"text\" is missing; name the field"));
  EXPECT_THAT(odd.text, HasSubstr("\"body\""));
  const std::string chat = R"([{"messages": [{"role": "user", "content": "hi"}]}])";
  EXPECT_THAT(refused([&] { read(chat); }).text, HasSubstr("chat_template"));
  const auto render = [](const formats::JsonNode& messages) {
    return messages.at(std::int64_t{0}).string("content");
  };
  EXPECT_THAT(read(chat, render), ElementsAre("hi!"));
}

}  // namespace
}  // namespace shardquant::tests
