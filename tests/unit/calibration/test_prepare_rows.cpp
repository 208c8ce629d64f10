#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/calibration/prepare_rows.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_text.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/calibration/calibration_test.hpp"

namespace shardquant::tests {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;

config::RunConfig job(const TempDirectory& folder) {
  write_file(folder.path() / "model/tokenizer.json", letter_tokenizer());
  config::RunConfig config;
  config.model.path = folder.path() / "model";
  config.calibration.text =
      write_file(folder.path() / "text", "abcdef<|endoftext|>ghijkl<|endoftext|>mnop");
  config.calibration.rows = 2;
  config.calibration.length = 4;
  config.calibration.validation_rows = 1;
  return config;
}

std::filesystem::path prepare(const config::RunConfig& config, const checkpoint::WorkFolder& work,
                              std::int64_t vocab_size = 1 << 16) {
  return calibration::prepare_rows(config, work, vocab_size).tokens;
}

TEST(prepare_rows, writes_rows_and_what_they_were_made_of) {
  const TempDirectory folder;
  const auto config = job(folder);
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const auto file = prepare(config, work);
  EXPECT_EQ(file, work.path() / "calibration_rows.i32");
  EXPECT_EQ(std::filesystem::file_size(file), 32u);
  EXPECT_EQ(std::filesystem::file_size(work.path() / "validation_rows.i32"), 16u);
  const auto json = formats::JsonText::read(work.path() / "calibration.json");
  const auto sets = json.root().at("sets");
  EXPECT_EQ(sets.at("calibration_rows").at("row_xxh3_128").size(), 2);
  EXPECT_EQ(sets.at("validation_rows").at("row_xxh3_128").size(), 1);
  EXPECT_EQ(json.root().at("sources").at(0).integer("documents", 0, 9), 2);

  // Again: the same bytes, nothing to complain of. Other text: the work folder is not spoilt.
  const std::string before = formats::read_text_file(file, kMostBytes);
  EXPECT_EQ(prepare(config, work), file);
  write_file(config.calibration.text, std::string(40, 'z'));
  const auto changed = refused([&] { prepare(config, work); });
  EXPECT_EQ(changed.code, ExitCode::bad_data);
  EXPECT_EQ(formats::read_text_file(file, kMostBytes), before);
}

TEST(prepare_rows, rows_for_the_evaluation_are_what_calibration_leaves) {
  const TempDirectory folder;
  auto config = job(folder);
  config.calibration.validation_rows = 0;
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  prepare(config, work);
  // 19 tokens with the three BOS: 4 rows of 4, 2 of them for calibration.
  EXPECT_EQ(std::filesystem::file_size(work.validation_rows()), 32u);
  config.evaluation.rows = 1;
  prepare(config, work);
  EXPECT_EQ(std::filesystem::file_size(work.validation_rows()), 16u);
  const auto json = formats::JsonText::read(work.path() / "calibration.json");
  EXPECT_EQ(json.root().at("sets").at("validation_rows").at("row_xxh3_128").size(), 1);
}

TEST(prepare_rows, a_token_file_stays_where_it_is) {
  const TempDirectory folder;
  config::RunConfig config;
  std::vector<std::int32_t> ids(22);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  std::copy_n(ids.begin(), 4, ids.begin() + 12);  // a row that is calibrated on once more
  const std::string bytes(reinterpret_cast<const char*>(ids.data()), ids.size() * 4);
  config.calibration.tokens = write_file(folder.path() / "tokens", bytes);
  config.calibration.rows = 2;
  config.calibration.length = 4;
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  EXPECT_EQ(prepare(config, work), config.calibration.tokens);
  EXPECT_FALSE(std::filesystem::exists(work.path() / "calibration_rows.i32"));
  EXPECT_EQ(formats::read_text_file(work.validation_rows(), kMostBytes),
            bytes.substr(32, 16) + bytes.substr(64, 16));
}

TEST(prepare_rows, a_tokenizer_without_bos_must_be_said_so) {
  const TempDirectory folder;
  auto config = job(folder);
  write_file(config.model.path / "tokenizer.json",
             R"({"model": {"vocab": {"a": 0, "b": 1}, "merges": []}})");
  config.calibration.bos = "document";
  write_file(config.calibration.text, std::string(8, 'a') + std::string(8, 'b'));
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const auto no_bos = refused([&] { prepare(config, work); });
  EXPECT_EQ(no_bos.code, ExitCode::config);
  EXPECT_THAT(no_bos.text, HasSubstr("give calibration.bos: none"));
  for (const char* bos : {"none", "auto"}) {
    config.calibration.bos = bos;
    EXPECT_NO_THROW(prepare(config, work)) << bos;
  }
}

TEST(prepare_rows, a_token_the_model_does_not_have_is_named_with_its_text) {
  const TempDirectory folder;
  auto config = job(folder);
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const auto beyond = refused([&] { prepare(config, work, 14); });
  EXPECT_EQ(beyond.code, ExitCode::bad_data);
  EXPECT_THAT(beyond.text, HasSubstr("text: document 1: token 26 (\"<s>\") is outside the model's "
                                     "vocabulary of 14"));
  config.calibration.bos = "none";
  write_file(config.calibration.text, "abcdef<|endoftext|>ghijko<|endoftext|>m");
  EXPECT_THAT(refused([&] { prepare(config, work, 14); }).text,
              HasSubstr("text: document 2: token 14 (\"o\")"));
  // Nothing was left that would keep the mended text from being taken.
  EXPECT_FALSE(std::filesystem::exists(work.calibration_rows()));
  write_file(config.calibration.text, "abcdef<|endoftext|>ghijkl<|endoftext|>m");
  EXPECT_NO_THROW(prepare(config, work, 14));
}

TEST(prepare_rows, what_a_source_was_taken_for_is_told_and_recorded) {
  const TempDirectory folder;
  auto config = job(folder);
  config.calibration.text =
      write_file(folder.path() / "docs.json", R"([{"text": "abcdef"}, {"text": "ghijkl"}])");
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const auto prepared = calibration::prepare_rows(config, work, 64);
  ASSERT_EQ(prepared.notes.size(), 1u);
  EXPECT_THAT(prepared.notes[0],
              HasSubstr("docs.json: taken for a JSON list; 2 documents; 3 rows"));
  EXPECT_THAT(formats::read_text_file(work.path() / "calibration.json", kMostBytes),
              HasSubstr("\"taken_for\": \"a JSON list\""));
}

TEST(prepare_rows, stories_are_the_ids_of_the_token_file) {
  SKIP_WITHOUT_SHARED("models/stories260K-pad192-sharded");
  SKIP_WITHOUT_SHARED("data/text/tiny.utf8");
  const TempDirectory folder;
  config::RunConfig config;
  config.model.path = shared_path("models/stories260K-pad192-sharded");
  config.calibration.text = shared_path("data/text/tiny.utf8");
  config.calibration.rows = 500;
  config.calibration.validation_rows = 8;
  config.calibration.length = 256;
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  std::string ids = formats::read_text_file(prepare(config, work), kMostBytes);
  ids += formats::read_text_file(work.path() / "validation_rows.i32", kMostBytes);
  const std::string expected =
      formats::read_text_file(shared_path("data/tokens/tinystories_tok512.i32"), kMostBytes);
  EXPECT_EQ(ids.size(), 508u * 256 * 4);
  EXPECT_TRUE(expected.starts_with(ids));
}

}  // namespace
}  // namespace shardquant::tests
