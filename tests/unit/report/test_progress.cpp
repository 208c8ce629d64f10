#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "pipeline/report/progress.hpp"

namespace shardquant::tests {
namespace {

using report::Log;
using report::Progress;
using testing::ElementsAre;

class ProgressLines : public testing::Test {
 protected:
  Log log_to(bool terminal) {
    return Log({.enabled = true,
                .terminal = terminal,
                .clock = [this] { return now; },
                .sink = [this](std::string_view piece) { text += piece; }});
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) out.push_back(line);
    return out;
  }

  double now = 0.0;
  std::string text;
};

TEST_F(ProgressLines, TellCountShareRateAndTimeLeft) {
  Log log = log_to(false);
  now = 100.0;
  Progress progress(log, "quantize", 560, 560.0);
  for (int i = 0; i < 312; ++i) {
    now = 100.0 + 2367.0 * (i + 1) / 312.0;
    progress.advance(1.0);
  }
  EXPECT_EQ(lines().back(), "[00:41:07] quantize   312/560  55.7%  rate 7.9/min  eta 00:31:21");
  now = 2497.5;
  progress.advance(1.0, "4.247 bpw");
  EXPECT_EQ(lines().back(),
            "[00:41:37] quantize   313/560  55.8%  rate 7.8/min  eta 00:31:59  4.247 bpw");
}

TEST_F(ProgressLines, TimeLeftFollowsCostNotCount) {
  Log log = log_to(false);
  Progress progress(log, "measure", 4, 100.0);
  EXPECT_LT(progress.seconds_left(), 0.0);
  now = 10.0;
  progress.advance(10.0);
  EXPECT_DOUBLE_EQ(progress.fraction(), 0.1);
  EXPECT_DOUBLE_EQ(progress.seconds_left(), 90.0);
  now = 90.0;
  progress.advance(80.0);
  EXPECT_DOUBLE_EQ(progress.seconds_left(), 10.0);
}

TEST_F(ProgressLines, ReusedItemsCountAsDoneButNotForTheRate) {
  Log log = log_to(false);
  Progress progress(log, "measure", 10, 100.0);
  progress.reuse(8, 80.0);
  EXPECT_DOUBLE_EQ(progress.fraction(), 0.8);
  EXPECT_LT(progress.seconds_left(), 0.0);
  now = 60.0;
  progress.advance(10.0);
  EXPECT_DOUBLE_EQ(progress.seconds_left(), 60.0);
  EXPECT_THAT(lines(),
              ElementsAre("[00:01:00] measure     9/10  90.0%  rate 1.0/min  eta 00:01:00"));
}

TEST_F(ProgressLines, TimeLeftFollowsThePaceOfLate) {
  Log log = log_to(false);
  Progress progress(log, "measure", 1000, 1000.0);
  const auto work = [&](int items, double seconds_each) {
    for (int i = 0; i < items; ++i) {
      now += seconds_each;
      progress.advance(1.0);
    }
  };
  work(300, 1.0);
  EXPECT_NEAR(progress.seconds_left(), 700.0, 1e-6);
  work(200, 4.0);  // something else has taken most of the machine
  EXPECT_NEAR(progress.seconds_left(), 2000.0, 200.0);
  work(300, 1.0);  // and given it back
  EXPECT_LT(progress.seconds_left(), 400.0);
  EXPECT_GE(progress.seconds_left(), 200.0);
}

TEST_F(ProgressLines, ItemsUnderWayCountForTheTimeLeftButNotAsDone) {
  Log log = log_to(false);
  Progress progress(log, "measure", 4, 100.0);
  now = 10.0;
  progress.begin_items(20.0);
  EXPECT_DOUBLE_EQ(progress.seconds_left(), 40.0);
  now = 40.0;
  progress.begin_items(25.0, "no ckpt yet");
  EXPECT_THAT(lines(),
              ElementsAre("[00:00:40] measure    0/4  25.0%  rate -  eta 00:02:00  no ckpt yet"));
  progress.complete(2, 50.0);
  EXPECT_DOUBLE_EQ(progress.fraction(), 0.5) << "what was under way is in it now";
}

TEST_F(ProgressLines, TheJobHasATimeLeftOfItsOwnWhereMoreComesAfterThePhase) {
  Log log = log_to(false);
  Progress progress(log, "measure", 4, 100.0);
  progress.set_later_cost(30.0);
  now = 60.0;
  progress.advance(60.0);
  EXPECT_THAT(lines(), ElementsAre("[00:01:00] measure    1/4  60.0%  rate 1.0/min  eta 00:00:40, "
                                   "job 00:01:10"));
}

TEST_F(ProgressLines, WithoutATerminalAtMostOneIn30SecondsAndOneAtTheEnd) {
  Log log = log_to(false);
  Progress progress(log, "measure", 1000, 1000.0);
  for (int i = 0; i < 1000; ++i) {
    now += 0.37;
    progress.advance(1.0);
  }
  progress.finish();
  progress.finish();
  EXPECT_EQ(lines().size(), 13u);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(lines().front().substr(0, 10), "[00:00:30]");
  EXPECT_EQ(lines().back(),
            "[00:06:10] measure    1000/1000 100.0%  rate 162.2/min  took 00:06:10");
}

TEST_F(ProgressLines, APhaseShorterThan30SecondsHasItsLastLineAlone) {
  Log log = log_to(false);
  {
    Progress progress(log, "allocate", 2, 2.0);
    now = 1.0;
    progress.advance(1.0);
    progress.advance(1.0);
  }
  EXPECT_THAT(lines(),
              ElementsAre("[00:00:01] allocate   2/2 100.0%  rate 120.0/min  took 00:00:01"));
}

TEST_F(ProgressLines, OnATerminalOneLineIsRedrawn) {
  Log log = log_to(true);
  Progress progress(log, "measure", 1000, 1000.0);
  for (int i = 0; i < 1000; ++i) {
    now += 0.01;
    progress.advance(1.0);
  }
  progress.finish();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  const auto drawings = std::count(text.begin(), text.end(), '\r');
  EXPECT_GT(drawings, 40);
  EXPECT_LT(drawings, 60);
  EXPECT_EQ(text.substr(0, 4), "\r\x1b[K");
}

TEST_F(ProgressLines, SayNothingOfTheEndWhereAnExceptionPasses) {
  Log log = log_to(false);
  try {
    Progress progress(log, "measure", 10, 10.0);
    progress.advance(1.0);
    throw std::runtime_error("fault");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(text, "");
}

TEST_F(ProgressLines, HundredPercentIsSaidOfCompletePhasesAlone) {
  Log log = log_to(false);
  Progress progress(log, "measure", 3, 3.0);
  now = 31.0;
  progress.advance(2.9999);
  now = 62.0;
  progress.advance(5.0);
  for (const std::string& line : lines()) EXPECT_THAT(line, testing::HasSubstr(" 99.9%"));
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(ProgressLines, OddCostsAndEmptyPhasesGiveNoNonsense) {
  Log log = log_to(false);
  {
    Progress progress(log, "empty", 0, 0.0);
    EXPECT_EQ(progress.fraction(), 1.0);
    EXPECT_EQ(progress.seconds_left(), 0.0);
  }
  EXPECT_THAT(lines(), ElementsAre("[00:00:00] empty      0/0 100.0%  rate -  took 00:00:00"));
  Progress free(log, "free", 4, 0.0);
  now = 3600.0 * 8;
  free.advance(0.0);
  EXPECT_EQ(lines().back(), "[08:00:00] free       1/4  25.0%  rate 0.1/h  eta --:--:--");
  free.advance(0.0), free.advance(0.0), free.advance(0.0);
}

}  // namespace
}  // namespace shardquant::tests
