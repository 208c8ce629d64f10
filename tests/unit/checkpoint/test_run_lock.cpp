#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "pipeline/checkpoint/run_lock.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

namespace shardquant::tests {
namespace {

using checkpoint::RunLock;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RunLock::Owner elsewhere() {
  return {"other-node", 77, 5, "4711", 1};
}

TEST(RunLock, IsHeldUntilItsEnd) {
  const TempDirectory folder;
  const auto path = folder.path() / "lock";
  {
    const RunLock lock(path);
    EXPECT_THAT(lock.takeover(), IsEmpty());
    EXPECT_THAT(lock.touch(), IsEmpty());
    const Failure failure = failure_of([&] { RunLock{path}; });
    EXPECT_EQ(failure.code(), ExitCode::cannot_create);
    EXPECT_THAT(failure.what(), HasSubstr(path.string()));
    EXPECT_THAT(failure.what(), HasSubstr(std::to_string(::getpid())));
  }
  EXPECT_THAT(entries(folder.path()), ElementsAre());
}

TEST(RunLock, IsTakenFromAProcessThatIsGone) {
  const TempDirectory folder;
  const auto path = folder.path() / "lock";
  const pid_t child = ::fork();
  if (child == 0) {
    new RunLock(path);  // left behind, as by SIGKILL
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  const RunLock lock(path);
  EXPECT_THAT(lock.takeover(), HasSubstr("its process is gone"));
  EXPECT_THAT(lock.touch(), IsEmpty());
  EXPECT_THAT(entries(folder.path()), ElementsAre("lock"));
}

TEST(RunLock, OfAnotherNodeIsRespectedUntilItGrowsOld) {
  const TempDirectory folder;
  const auto path = folder.path() / "lock";
  write_bytes(path, elsewhere().text());
  EXPECT_EQ(failure_of([&] { RunLock{path}; }).code(), ExitCode::cannot_create);
  struct timespec times[2] = {{::time(nullptr) - 590, 0}, {::time(nullptr) - 590, 0}};
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  EXPECT_EQ(failure_of([&] { RunLock{path}; }).code(), ExitCode::cannot_create);
  times[0].tv_sec = times[1].tv_sec -= 20;
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  EXPECT_THAT(RunLock{path}.takeover(), HasSubstr("process 77 on other-node, job 4711"));
}

TEST(RunLock, OfTheSameJobGoesToItsRestart) {
  const TempDirectory folder;
  const auto path = folder.path() / "lock";
  write_bytes(path, elsewhere().text());
  RunLock::Owner restart = RunLock::Owner::self();
  restart.job = elsewhere().job;
  restart.restart = elsewhere().restart;
  EXPECT_EQ(failure_of([&] { RunLock(path, restart); }).code(), ExitCode::cannot_create);
  restart.restart += 1;
  EXPECT_THAT(RunLock(path, restart).takeover(), HasSubstr("restart of the same job"));
}

TEST(RunLock, NoticesThatItWasTaken) {
  const TempDirectory folder;
  const auto path = folder.path() / "lock";
  {
    const RunLock lock(path);
    write_bytes(path, elsewhere().text());
    EXPECT_THAT(lock.touch(), HasSubstr("another job has taken this lock"));
  }
  EXPECT_EQ(file_bytes(path), elsewhere().text());  // not this one's to remove
}

TEST(RunLock, NeedsItsFolder) {
  const TempDirectory folder;
  EXPECT_EQ(failure_of([&] { RunLock{folder.path() / "no" / "lock"}; }).code(),
            ExitCode::cannot_create);
}

}  // namespace
}  // namespace shardquant::tests
