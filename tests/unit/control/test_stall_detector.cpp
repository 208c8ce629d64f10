#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/control/stall_detector.hpp"

namespace shardquant::control {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kTimeout = 10.0;

Heartbeat beat(std::int64_t number, std::int64_t progress, std::int64_t calls, bool waiting) {
  return {number, progress, calls, waiting, "max", "node7", 123};
}

TEST(StallDetector, RanksThatWorkAreLeftAloneHoweverLongTheOthersWait) {
  StallDetector detector(2, kTimeout);
  for (int second = 0; second < 100; ++second) {
    detector.see(0, beat(second, second, 5, false), second);
    detector.see(1, beat(second, 0, 6, true), second);
    EXPECT_THAT(detector.complaint(second), IsEmpty()) << second;
  }
}

TEST(StallDetector, AProcessWithoutLifeIsNamedWithItsHost) {
  StallDetector detector(3, kTimeout);
  for (int second = 0; second <= 20; ++second) {
    detector.see(0, beat(second, 0, 6, true), second);
    detector.see(1, beat(std::min(second, 4), std::min(second, 4), 5, false), second);
    detector.see(2, beat(second, 0, 6, true), second);
    if (second < 14) {
      EXPECT_THAT(detector.complaint(second), IsEmpty()) << second;
    }
  }
  EXPECT_THAT(detector.complaint(14), HasSubstr("rank 1 (node7, process 123) shows no life"));
  EXPECT_FALSE(detector.is_alive(1, 14));
  EXPECT_TRUE(detector.is_alive(2, 14));
}

TEST(StallDetector, WorkThatDoesNotMoveIsNamed) {
  StallDetector detector(2, kTimeout);
  for (int second = 0; second <= 10; ++second) {
    detector.see(0, beat(second, 0, 6, true), second);
    detector.see(1, beat(second, 7, 5, false), second);
  }
  EXPECT_THAT(detector.complaint(10), HasSubstr("rank 1 (node7, process 123) has not moved"));
}

TEST(StallDetector, TheEndOfALongWaitIsNoStall) {
  StallDetector detector(1, kTimeout);
  for (int second = 0; second <= 30; ++second) {
    detector.see(0, beat(second, 0, 6, true), second);
  }
  detector.see(0, beat(31, 0, 6, false), 31);
  EXPECT_THAT(detector.complaint(31), IsEmpty());
}

TEST(StallDetector, WhereAllWaitTheOneBehindIsNamed) {
  StallDetector detector(3, kTimeout);
  for (int second = 0; second <= 10; ++second) {
    detector.see(0, beat(second, 0, 6, true), second);
    detector.see(1, beat(second, 0, 6, true), second);
    detector.see(2, beat(second, 0, 4, true), second);
  }
  EXPECT_THAT(detector.complaint(10), HasSubstr("rank 2 (node7) in call 4 (max)"));
}

TEST(StallDetector, ARankNeverHeardOfIsGivenTheTimeoutToo) {
  StallDetector detector(2, kTimeout);
  for (int second = 100; second <= 110; ++second) {
    detector.see(0, beat(second, second, 1, false), second);
    detector.see(1, std::nullopt, second);
    EXPECT_EQ(detector.complaint(second).empty(), second < 110) << second;
  }
  EXPECT_THAT(detector.complaint(110), HasSubstr("rank 1 (never)"));
}

}  // namespace
}  // namespace shardquant::control
