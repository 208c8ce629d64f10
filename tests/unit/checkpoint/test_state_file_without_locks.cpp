#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/temp_directory.hpp"
#include "tests/unit/checkpoint/state_file_cases.hpp"

namespace {

int lock_error = 0;
int lock_calls = 0;

}  // namespace

// Stands in for the C library's, as on a cluster file system that cannot lock.
extern "C" int flock(int, int) {
  ++lock_calls;
  if (lock_error == 0) return 0;
  errno = lock_error;
  return -1;
}

namespace shardquant::tests {
namespace {

class StateFileWithoutLocks : public testing::TestWithParam<int> {};

TEST_P(StateFileWithoutLocks, IsWrittenAndRead) {
  const TempDirectory folder;
  lock_error = GetParam();
  lock_calls = 0;
  write_small_file(folder.path() / "state.h5", 1);
  EXPECT_TRUE(checkpoint::state_file_is_valid(folder.path() / "state.h5", kKind, kPrint));
  EXPECT_GT(lock_calls, 0);
  EXPECT_EQ(entries(folder.path()).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Errors, StateFileWithoutLocks,
                         testing::Values(0, ENOSYS, ENOLCK, EOPNOTSUPP, EAGAIN));

}  // namespace
}  // namespace shardquant::tests
