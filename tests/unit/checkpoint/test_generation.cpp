#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/checkpoint/generation.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

namespace shardquant::tests {
namespace {

using checkpoint::Generation;
using testing::ElementsAre;

// A committed generation with one file.
std::int64_t commit(const std::filesystem::path& folder, std::int64_t block) {
  const std::int64_t number = checkpoint::begin_generation(folder);
  write_bytes(checkpoint::generation_folder(folder, number) / "slice", "x");
  checkpoint::commit_generation(folder, "run", {number, block, 2, {{"slice", "1 ab"}}});
  return number;
}

TEST(Generations, TwoAreKeptAndTheManifestIsReadBack) {
  const TempDirectory folder;
  for (std::int64_t block = 1; block <= 4; ++block) EXPECT_EQ(commit(folder.path(), block), block);
  EXPECT_THAT(checkpoint::committed_generations(folder.path()), ElementsAre(4, 3));
  EXPECT_THAT(entries(folder.path()), testing::UnorderedElementsAre("000003", "000004"));
  const auto read = checkpoint::load_generation(folder.path(), "run", 4);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->block, 4);
  EXPECT_EQ(read->ranks, 2);
  EXPECT_EQ(read->files.at("slice"), "1 ab");
}

TEST(Generations, WithoutAManifestTheyDoNotExist) {
  const TempDirectory folder;
  commit(folder.path(), 1);
  const std::int64_t begun = checkpoint::begin_generation(folder.path());
  write_bytes(checkpoint::generation_folder(folder.path(), begun) / "slice", "x");
  EXPECT_THAT(checkpoint::committed_generations(folder.path()), ElementsAre(1));
  EXPECT_FALSE(checkpoint::load_generation(folder.path(), "run", begun));
  EXPECT_EQ(checkpoint::remove_uncommitted_generations(folder.path()).size(), 1u);
  EXPECT_THAT(entries(folder.path()), ElementsAre("000001"));
}

TEST(Generations, OfAnotherRunOrDamagedAreNotTaken) {
  const TempDirectory folder;
  commit(folder.path(), 1);
  EXPECT_FALSE(checkpoint::load_generation(folder.path(), "other", 1));
  const auto manifest = checkpoint::generation_folder(folder.path(), 1) / "manifest.txt";
  const std::string text = file_bytes(manifest);
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write_bytes(manifest, damaged);
    EXPECT_FALSE(checkpoint::load_generation(folder.path(), "run", 1)) << at;
  }
}

TEST(Generations, AManifestInThePlaceOfAnothersIsNotTaken) {
  const TempDirectory folder;
  commit(folder.path(), 1);
  commit(folder.path(), 2);
  const auto of = [&](std::int64_t n) {
    return checkpoint::generation_folder(folder.path(), n) / "manifest.txt";
  };
  write_bytes(of(2), file_bytes(of(1)));
  EXPECT_FALSE(checkpoint::load_generation(folder.path(), "run", 2));
  EXPECT_TRUE(checkpoint::load_generation(folder.path(), "run", 1));
}

}  // namespace
}  // namespace shardquant::tests
