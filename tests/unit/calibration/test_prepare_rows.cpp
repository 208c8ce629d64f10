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

TEST(prepare_rows, writes_rows_and_what_they_were_made_of) {
  const TempDirectory folder;
  const auto config = job(folder);
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const auto file = calibration::prepare_rows(config, work);
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
  EXPECT_EQ(calibration::prepare_rows(config, work), file);
  write_file(config.calibration.text, std::string(40, 'z'));
  const auto changed = refused([&] { calibration::prepare_rows(config, work); });
  EXPECT_EQ(changed.code, ExitCode::bad_data);
  EXPECT_EQ(formats::read_text_file(file, kMostBytes), before);
}

TEST(prepare_rows, a_tokenizer_without_bos_must_be_said_so) {
  const TempDirectory folder;
  auto config = job(folder);
  write_file(config.model.path / "tokenizer.json",
             R"({"model": {"vocab": {"a": 0, "b": 1}, "merges": []}})");
  write_file(config.calibration.text, std::string(8, 'a') + std::string(8, 'b'));
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const auto no_bos = refused([&] { calibration::prepare_rows(config, work); });
  EXPECT_EQ(no_bos.code, ExitCode::config);
  EXPECT_THAT(no_bos.text, HasSubstr("set calibration.bos to none"));
  config.calibration.bos = "none";
  EXPECT_NO_THROW(calibration::prepare_rows(config, work));
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
  std::string ids = formats::read_text_file(calibration::prepare_rows(config, work), kMostBytes);
  ids += formats::read_text_file(work.path() / "validation_rows.i32", kMostBytes);
  const std::string expected =
      formats::read_text_file(shared_path("data/tokens/tinystories_tok512.i32"), kMostBytes);
  EXPECT_EQ(ids.size(), 508u * 256 * 4);
  EXPECT_TRUE(expected.starts_with(ids));
}

}  // namespace
}  // namespace shardquant::tests
