#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "pipeline/formats/shard_file.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::formats {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tests::outcome_of;
using tests::write_bytes;

std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

class ShardFile : public ::testing::Test {
 protected:
  const fs::path& folder() const { return temp_.path(); }

 private:
  tests::TempDirectory temp_;
};

TEST_F(ShardFile, PartialNameIsNoShard) {
  EXPECT_EQ(partial_name("model.safetensors"), ".model.safetensors.partial");
}

TEST_F(ShardFile, ExistsUnderItsNameOnlyWhenPublished) {
  const FileHandle file = create_partial(folder(), "a.safetensors", 1000, Overwrite::no);
  EXPECT_EQ(file.size(), 1000);
  EXPECT_FALSE(fs::exists(folder() / "a.safetensors"));
  publish_partial(folder(), "a.safetensors", Overwrite::no);
  EXPECT_EQ(entries(folder()), std::vector<std::string>{"a.safetensors"});
  EXPECT_EQ(fs::file_size(folder() / "a.safetensors"), 1000u);
}

TEST_F(ShardFile, NothingIsOverwrittenUnasked) {
  write_bytes(folder() / "a", "old");
  EXPECT_EQ(outcome_of([&] { create_partial(folder(), "a", 1, Overwrite::no); }).code,
            ExitCode::cannot_create);
  EXPECT_EQ(outcome_of([&] { write_file(folder() / "a", "new", Overwrite::no); }).code,
            ExitCode::cannot_create);
  // A name taken between creation and publishing, also by a dangling link.
  create_partial(folder(), "b", 1, Overwrite::no);
  fs::create_symlink("nowhere", folder() / "b");
  EXPECT_EQ(outcome_of([&] { publish_partial(folder(), "b", Overwrite::no); }).code,
            ExitCode::cannot_create);
  EXPECT_EQ(fs::file_size(folder() / "a"), 3u);
  write_file(folder() / "a", "newer", Overwrite::yes);
  EXPECT_EQ(fs::file_size(folder() / "a"), 5u);
}

TEST_F(ShardFile, PartialOfAnInterruptedRunIsReplaced) {
  create_partial(folder(), "a", 5000, Overwrite::no);
  EXPECT_EQ(create_partial(folder(), "a", 70, Overwrite::no).size(), 70);
  const auto outcome = outcome_of([&] { open_partial(folder(), "a", 71); });
  EXPECT_EQ(outcome.code, ExitCode::io_error);
  EXPECT_THAT(outcome.text, HasSubstr("70 bytes long instead of 71"));
  EXPECT_EQ(outcome_of([&] { open_partial(folder(), "b", 1); }).code, ExitCode::io_error);
  discard_partial(folder(), "a");
  discard_partial(folder(), "a");
  EXPECT_THAT(entries(folder()), IsEmpty());
}

TEST_F(ShardFile, MissingFolderCannotBeWrittenTo) {
  const auto outcome = outcome_of([&] { write_file(folder() / "none" / "a", "x", Overwrite::no); });
  EXPECT_EQ(outcome.code, ExitCode::cannot_create);
  EXPECT_THAT(outcome.text, HasSubstr("none"));
}

// A limit on file sizes stands for a full disk: EFBIG takes the same way as ENOSPC.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &former_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = former_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &former_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit former_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(ShardFile, FullDiskLeavesNothingBehind) {
  const FileSizeLimit limit(4096);
  const auto reserved =
      outcome_of([&] { create_partial(folder(), "a.safetensors", 8192, Overwrite::no); });
  EXPECT_EQ(reserved.code, ExitCode::io_error);
  EXPECT_THAT(reserved.text, HasSubstr("a.safetensors"));
  const auto written =
      outcome_of([&] { write_file(folder() / "b.json", std::string(8192, 'x'), Overwrite::no); });
  EXPECT_EQ(written.code, ExitCode::io_error);
  EXPECT_THAT(entries(folder()), IsEmpty());

  // The limit is in the middle of the data: a short write, then the error.
  const FileHandle file = create_partial(folder(), "c", 0, Overwrite::no);
  const auto cut = outcome_of([&] { file.write_exact(0, std::vector<std::byte>(6000)); });
  EXPECT_EQ(cut.code, ExitCode::io_error);
  EXPECT_THAT(cut.text, HasSubstr("at byte 4096"));
}

}  // namespace
}  // namespace shardquant::formats
