#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>
#include <vector>

#include "pipeline/report/log.hpp"

namespace shardquant::tests {
namespace {

using report::clock_text;
using report::Log;
using report::printable;

struct Recorder {
  double now = 0.0;
  std::string text;

  Log::Options options(bool terminal, bool enabled = true) {
    return {.enabled = enabled,
            .terminal = terminal,
            .clock = [this] { return now; },
            .sink = [this](std::string_view piece) { text += piece; }};
  }
};

TEST(ClockText, CountsHoursMinutesSeconds) {
  EXPECT_EQ(clock_text(0.0), "00:00:00");
  EXPECT_EQ(clock_text(59.999), "00:00:59");
  EXPECT_EQ(clock_text(2467.0), "00:41:07");
  EXPECT_EQ(clock_text(86400.0 * 5), "120:00:00");
  for (const double odd : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    EXPECT_EQ(clock_text(odd), "--:--:--");
  }
}

TEST(Printable, LeavesTextAndEscapesWhatSteersATerminal) {
  EXPECT_EQ(printable("layer µ 量 \\x"), "layer µ 量 \\x");
  EXPECT_EQ(printable("a\nb\rc\td"), "a\\nb\\rc\\td");
  EXPECT_EQ(printable("\x1b[2J\x7f"), "\\x1b[2J\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\x9b31m");
  EXPECT_EQ(printable("\xc2"), "\xc2");
}

TEST(LogLines, HaveTimeStageAndText) {
  Recorder out;
  Log log(out.options(false));
  out.now = 2467.2;
  log.line("quantize", "done");
  log.line("calibration", "fake\n[00:00:00] line");
  EXPECT_EQ(out.text,
            "[00:41:07] quantize   done\n"
            "[00:41:07] calibration fake\\n[00:00:00] line\n");
}

TEST(LogLines, AreSilentWhereNotEnabled) {
  Recorder out;
  {
    Log log(out.options(true, false));
    log.line("a", "b");
    log.redraw("a", "b");
  }
  EXPECT_EQ(out.text, "");
}

TEST(RedrawnLine, IsForTerminalsAlone) {
  Recorder out;
  Log log(out.options(false));
  log.redraw("a", "b");
  EXPECT_EQ(out.text, "");
}

TEST(RedrawnLine, GivesWayToLinesAndEndsWithTheLog) {
  Recorder out;
  {
    Log log(out.options(true));
    log.redraw("s", "1");
    log.redraw("s", "2");
    log.line("s", "text");
    log.line("s", "more");
    log.redraw("s", "3");
  }
  const std::string clear = "\r\x1b[K", head = "[00:00:00] s          ";
  EXPECT_EQ(out.text, clear + head + "1" + clear + head + "2" + clear + head + "text\n" + head +
                          "more\n" + clear + head + "3\n");
}

TEST(LogLines, OfSeveralThreadsDoNotMix) {
  Recorder out;
  Log log(out.options(false));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) log.line("stage", "0123456789");
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::string expected;
  for (int i = 0; i < 2000; ++i) expected += "[00:00:00] stage      0123456789\n";
  EXPECT_EQ(out.text, expected);
}

}  // namespace
}  // namespace shardquant::tests
