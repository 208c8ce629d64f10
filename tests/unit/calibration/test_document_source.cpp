#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/calibration/document_source.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/calibration/calibration_test.hpp"

namespace shardquant::tests {
namespace {

using calibration::DocumentRules;
using calibration::SourceKind;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> documents_of(const std::filesystem::path& file,
                                      const DocumentRules& rules) {
  std::vector<std::string> documents;
  calibration::read_documents(file, rules, [&](const calibration::Document& document) {
    documents.emplace_back(document.text);
    return true;
  });
  return documents;
}

TEST(read_documents, text_is_cut_at_the_separator_and_trimmed) {
  const TempDirectory folder;
  const auto file = write_file(folder.path() / "t", "\n a b \n--\n--  \n--c--");
  EXPECT_THAT(documents_of(file, {SourceKind::text, "--", "", {}}), ElementsAre("a b", "c"));
  EXPECT_THAT(documents_of(file, {SourceKind::text, "", "", {}}),
              ElementsAre("a b \n--\n--  \n--c--"));
  const auto record = calibration::record_file(file, SourceKind::text);
  EXPECT_EQ(record.bytes, 20);
  EXPECT_EQ(record.hash.size(), 32u);
}

// Files are read in pieces of 4 MiB; separators may lie across their borders.
TEST(read_documents, pieces_of_a_file_join) {
  const TempDirectory folder;
  std::string text;
  std::vector<std::string> expected;
  for (int i = 0; text.size() < std::size_t{9} << 20; ++i) {
    expected.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 97), 'x'));
    text += expected.back() + "<|endoftext|>";
  }
  const auto file = write_file(folder.path() / "t", text);
  EXPECT_EQ(documents_of(file, {SourceKind::text, "<|endoftext|>", "", {}}), expected);
  write_file(file, std::string((std::size_t{4} << 20) - 5, 'a') + "<|endoftext|>b");
  EXPECT_EQ(documents_of(file, {SourceKind::text, "<|endoftext|>", "", {}}).size(), 2u);
}

TEST(read_documents, json_lines_give_the_named_field) {
  const TempDirectory folder;
  const auto file = write_file(folder.path() / "t.jsonl",
                               "{\"text\": \" a\\n\", \"other\": \"x\"}\n\n{\"text\": \"b\"}");
  EXPECT_THAT(documents_of(file, {SourceKind::jsonl, "", "text", {}}), ElementsAre(" a\n", "b"));
  const auto missing = refused([&] { documents_of(file, {SourceKind::jsonl, "", "third", {}}); });
  EXPECT_EQ(missing.code, ExitCode::bad_data);
  EXPECT_THAT(missing.text,
              HasSubstr("t.jsonl: line 1: (top level): \"third\" is missing; name the field "
                        "with the text: there are \"text\", \"other\""));
}

TEST(source_files, a_folder_is_its_files_by_name) {
  const TempDirectory folder;
  for (const char* name : {"b.txt", "a.jsonl", ".hidden", "inner/c.txt"}) {
    write_file(folder.path() / name, "x");
  }
  EXPECT_THAT(calibration::source_files(folder.path()),
              ElementsAre(folder.path() / "a.jsonl", folder.path() / "b.txt"));
  EXPECT_EQ(calibration::source_kind("auto", "a.i32"), SourceKind::tokens);
  EXPECT_EQ(calibration::source_kind("text", "a.i32"), SourceKind::text);
  EXPECT_EQ(refused([&] { documents_of(folder.path() / "none", {}); }).code, ExitCode::no_input);
}

}  // namespace
}  // namespace shardquant::tests
