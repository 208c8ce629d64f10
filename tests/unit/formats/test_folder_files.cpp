#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/model_directory.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::formats {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::outcome_of;
using tests::write_bytes;

class FolderFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(source_);
    fs::create_directory(target_);
  }

  tests::TempDirectory temp_;
  fs::path source_ = temp_.path() / "source";
  fs::path target_ = temp_.path() / "target";
};

TEST_F(FolderFiles, ListsWhatBelongsIntoACopy) {
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer.model", "generation_config.json", "LICENSE",
        "chat_template.jinja", "model.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "x.pt",
        "x.ckpt", "x.gguf", ".gitattributes", "README.md"}) {
    write_bytes(source_ / name, name);
  }
  fs::create_directory(source_ / "original");
  const ModelDirectory source(source_);
  EXPECT_THAT(companion_files(source),
              ElementsAre("LICENSE", "chat_template.jinja", "generation_config.json",
                          "tokenizer.json", "tokenizer.model"));
}

TEST_F(FolderFiles, CopiesBytesAndLinksContents) {
  std::string text(3'000'001, 'x');
  for (std::size_t i = 0; i < text.size(); i += 7) text[i] = static_cast<char>(i);
  write_bytes(source_ / "tokenizer.json", text);
  fs::create_symlink("tokenizer.json", source_ / "alias.json");
  write_bytes(source_ / "empty.txt", "");
  const ModelDirectory source(source_);
  for (const std::string& name : companion_files(source)) {
    copy_companion_file(source, name, target_, Overwrite::no);
  }
  EXPECT_EQ(read_text_file(target_ / "tokenizer.json", INT64_MAX), text);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(target_ / "alias.json")));
  EXPECT_EQ(fs::file_size(target_ / "empty.txt"), 0u);
  EXPECT_EQ(
      outcome_of([&] { copy_companion_file(source, "empty.txt", target_, Overwrite::no); }).code,
      ExitCode::cannot_create);
  copy_companion_file(source, "empty.txt", target_, Overwrite::yes);
}

TEST_F(FolderFiles, LinksThatLeaveTheSourceAreNotCopied) {
  write_bytes(temp_.path() / "secret", "x");
  fs::create_symlink("../secret", source_ / "tokenizer.json");
  const ModelDirectory source(source_);
  const auto outcome =
      outcome_of([&] { copy_companion_file(source, "tokenizer.json", target_, Overwrite::no); });
  EXPECT_EQ(outcome.code, ExitCode::bad_data);
  EXPECT_THAT(outcome.text, HasSubstr("leaves the model folder"));
}

TEST_F(FolderFiles, TargetMustNotBeTheSourceNorHoldStrangers) {
  const auto code = [&](const fs::path& target, Overwrite overwrite) {
    return outcome_of(
               [&] { require_safe_target(source_, target, {"model.safetensors"}, overwrite); })
        .code;
  };
  EXPECT_EQ(code(target_, Overwrite::no), ExitCode::done);
  EXPECT_EQ(code(temp_.path() / "new" / "deep", Overwrite::no), ExitCode::done);
  EXPECT_EQ(code(temp_.path() / "source-2", Overwrite::no), ExitCode::done);
  EXPECT_EQ(code(source_, Overwrite::yes), ExitCode::cannot_create);
  EXPECT_EQ(code(source_ / "out", Overwrite::yes), ExitCode::cannot_create);
  EXPECT_EQ(code(target_ / ".." / "source" / "x" / "", Overwrite::yes), ExitCode::cannot_create);
  fs::create_directory_symlink(source_, temp_.path() / "alias");
  EXPECT_EQ(code(temp_.path() / "alias" / "out", Overwrite::yes), ExitCode::cannot_create);

  write_bytes(target_ / "model.safetensors", "x");
  EXPECT_EQ(code(target_, Overwrite::no), ExitCode::cannot_create);
  EXPECT_EQ(code(target_, Overwrite::yes), ExitCode::done);
  write_bytes(target_ / "other.safetensors", "x");
  EXPECT_EQ(code(target_, Overwrite::yes), ExitCode::cannot_create);
  EXPECT_EQ(code(target_ / "other.safetensors", Overwrite::yes), ExitCode::cannot_create);
}

TEST(ModelName, IsTheFoldersOrThatOfTheHubsRepository) {
  EXPECT_EQ(model_name("/models/Llama-2-7b"), "Llama-2-7b");
  EXPECT_EQ(model_name("/models/Llama-2-7b/"), "Llama-2-7b");
  EXPECT_EQ(model_name("/hub/models--org--name/snapshots/0123abcd"), "org/name");
  EXPECT_EQ(model_name("/hub/models--gpt2/snapshots/0123abcd/"), "gpt2");
  EXPECT_EQ(model_name("/hub/other/snapshots/0123abcd"), "0123abcd");
}

}  // namespace
}  // namespace shardquant::formats
