#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "pipeline/checkpoint/work_folder.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

// Read by the leak sanitizer where it is on: after a write error HDF5 is not called to free what it
// holds for the file.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5\n";
}

namespace shardquant::tests {
namespace {

using checkpoint::state_file_is_valid;
using checkpoint::StateFileWriter;
using testing::ElementsAre;

// A file of about 2 MiB in four datasets, so that errors can come at every step.
void write_large_file(const std::filesystem::path& path) {
  const std::vector<float> values = random_floats(131072, 3);
  StateFileWriter writer(path, kKind, kPrint, {.chunk_bytes = 65536, .piece_bytes = 131072});
  for (const char* name : {"a", "b", "c", "d"}) writer.write<float>(name, values);
  writer.add_integer("size", 1);
  writer.commit();
}

// Exit status of a child that does the work: the Failure's code, 0 without one.
template <class Work>
int status_in_child(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 0;
    try {
      work();
    } catch (const Failure& failure) {
      code = static_cast<int>(failure.code());
    }
    // The child leaves as the program does, through the handlers of exit.
    std::exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::int64_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    struct rlimit limit = old_;
    limit.rlim_cur = static_cast<rlim_t>(bytes);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  struct rlimit old_ {};
  void (*old_handler_)(int) = nullptr;
};

TEST(StateFileFaults, AWriteErrorAtAnySizeLeavesNothingAndTheProcessGoesOn) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "state.h5";
  write_large_file(path);
  const auto full = static_cast<std::int64_t>(std::filesystem::file_size(path));
  std::filesystem::remove(path);
  int failed = 0;
  for (int percent = 0; percent < 100; percent += 2) {
    const FileSizeLimit limit(full * percent / 100);
    const Failure failure = failure_of([&] { write_large_file(path); });
    EXPECT_EQ(failure.code(), ExitCode::io_error) << percent << ": " << failure.what();
    EXPECT_THAT(entries(folder.path()), ElementsAre()) << percent;
    ++failed;
  }
  {
    const FileSizeLimit limit(full - 1);
    EXPECT_EQ(failure_of([&] { write_large_file(path); }).code(), ExitCode::io_error);
    EXPECT_THAT(entries(folder.path()), ElementsAre());
  }
  EXPECT_EQ(failed, 50);
  write_large_file(path);
  EXPECT_TRUE(state_file_is_valid(path, kKind, kPrint));
}

TEST(StateFileFaults, AWriteErrorLeavesTheOldFile) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "state.h5";
  write_small_file(path, 1);
  const std::string old = file_bytes(path);
  for (const std::int64_t limit_bytes : {0, 3000, 200000, 1500000}) {
    const FileSizeLimit limit(limit_bytes);
    EXPECT_EQ(failure_of([&] { write_large_file(path); }).code(), ExitCode::io_error);
    EXPECT_EQ(file_bytes(path), old);
  }
  EXPECT_THAT(entries(folder.path()), ElementsAre("state.h5"));
}

TEST(StateFileFaults, AfterTheFirstErrorEveryCallFails) {
  const TempDirectory folder;
  StateFileWriter writer(folder.path() / "state.h5", kKind, kPrint);
  const std::vector<float> values = random_floats(4 << 20, 1);
  {
    const FileSizeLimit limit(1 << 20);
    EXPECT_EQ(failure_of([&] { writer.write<float>("a", values); }).code(), ExitCode::io_error);
  }
  EXPECT_THAT(entries(folder.path()), ElementsAre());
  EXPECT_EQ(failure_of([&] { writer.write<float>("b", values); }).code(), ExitCode::io_error);
  EXPECT_EQ(failure_of([&] { writer.add_integer("i", 1); }).code(), ExitCode::io_error);
  EXPECT_EQ(failure_of([&] { writer.commit(); }).code(), ExitCode::io_error);
}

class SmallDisk {
 public:
  SmallDisk(std::filesystem::path path, std::int64_t bytes) : path_(std::move(path)) {
    const std::string options = "size=" + std::to_string(bytes);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

TEST(StateFileFaults, AFullDiskOfAnySizeEndsWithItsCodeAndNothingLeft) {
  const TempDirectory folder;
  const std::filesystem::path path = folder.path() / "state.h5";
  if (!SmallDisk(folder.path(), 1 << 20).mounted()) GTEST_SKIP() << "mount: not permitted here";
  write_large_file(path);
  const auto full = static_cast<std::int64_t>(std::filesystem::file_size(path));
  std::filesystem::remove(path);
  int complete = 0;
  for (int percent = 2; percent <= 120; percent += 2) {
    const SmallDisk disk(folder.path(), full * percent / 100);
    ASSERT_TRUE(disk.mounted());
    const int status = status_in_child([&] { write_large_file(path); });
    if (status == 0) {
      EXPECT_TRUE(state_file_is_valid(path, kKind, kPrint)) << percent;
      ++complete;
    } else {
      EXPECT_EQ(status, 74) << percent;
      EXPECT_THAT(entries(folder.path()), ElementsAre()) << percent;
    }
  }
  EXPECT_GE(complete, 9);
  EXPECT_LE(complete, 11);
}

TEST(StateFileFaults, KillingTheWriterNeverLeavesABadFile) {
  const TempDirectory folder;
  const auto work = checkpoint::WorkFolder::create(folder.path() / "work");
  const std::filesystem::path path = work.quantized("layer");
  // The slowest of some writes, so that kills come before, in and after them on any disk.
  std::int64_t longest_us = 0;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    write_large_file(path);
    const auto time = std::chrono::steady_clock::now() - begin;
    longest_us = std::max<std::int64_t>(
        longest_us, std::chrono::duration_cast<std::chrono::microseconds>(time).count());
  }
  std::mt19937_64 random(5);
  int present = 0, left_over = 0;
  for (int round = 0; round < 60; ++round) {
    std::filesystem::remove(path);
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) write_large_file(path);
    }
    ::usleep(static_cast<useconds_t>(random() % static_cast<std::uint64_t>(2 * longest_us)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    if (std::filesystem::exists(path)) {
      ++present;
      EXPECT_TRUE(state_file_is_valid(path, kKind, kPrint)) << round;
    }
    left_over += static_cast<int>(work.remove_temporaries().size());
    EXPECT_LE(entries(path.parent_path()).size(), 1u);
  }
  EXPECT_GT(present, 0);
  EXPECT_GT(left_over, 0);
}

}  // namespace
}  // namespace shardquant::tests
