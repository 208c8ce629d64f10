#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <thread>

#include "pipeline/control/heartbeat.hpp"
#include "pipeline/control/watchdog.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::control {
namespace {

using tests::TempDirectory;

TEST(Heartbeat, IsReadAsItWasWritten) {
  const TempDirectory folder;
  const auto path = heartbeat_path(folder.path(), 12);
  EXPECT_EQ(path.filename(), "rank-00012");
  const Heartbeat written{3, 4, 5, true, "broadcast", "node1", 99};
  ASSERT_TRUE(write_heartbeat(path, written));
  const auto read = read_heartbeat(path);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->beat, 3);
  EXPECT_EQ(read->progress, 4);
  EXPECT_EQ(read->calls, 5);
  EXPECT_TRUE(read->waiting);
  EXPECT_EQ(read->call, "broadcast");
  EXPECT_EQ(read->host, "node1");
  EXPECT_EQ(read->pid, 99);
}

TEST(Heartbeat, WhatIsNoneIsNotThere) {
  const TempDirectory folder;
  EXPECT_FALSE(read_heartbeat(folder.path() / "absent"));
  EXPECT_FALSE(write_heartbeat(folder.path() / "absent" / "rank", {}));
  std::ofstream(folder.path() / "short") << "1 2 3";
  EXPECT_FALSE(read_heartbeat(folder.path() / "short"));
  std::ofstream(folder.path() / "other") << std::string(256, 'x');
  EXPECT_FALSE(read_heartbeat(folder.path() / "other"));
}

// A rank whose heartbeat stays away is told of within the timeout and a few beats; the end of the
// job is the test's.
TEST(Watchdog, TellsOfARankThatStays) {
  const TempDirectory folder;
  comm::Activity activity;
  activity.waiting = true;
  std::mutex mutex;
  std::string told;
  Watchdog::Options options;
  options.folder = folder.path();
  options.ranks = 2;
  options.timeout_s = 1.0;
  options.on_stall = [&](const std::string& complaint) {
    const std::lock_guard lock(mutex);
    if (told.empty()) told = complaint;
  };
  const auto begin = std::chrono::steady_clock::now();
  const Watchdog watchdog(activity, options);
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::lock_guard lock(mutex);
    if (!told.empty()) break;
    ASSERT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  }
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
  EXPECT_EQ(told.find("rank 1 (never) shows no life"), 0u) << told;
}

TEST(Watchdog, RemovesItsHeartbeatAtTheEnd) {
  const TempDirectory folder;
  comm::Activity activity;
  {
    Watchdog::Options options;
    options.folder = folder.path();
    const Watchdog watchdog(activity, options);
  }
  EXPECT_FALSE(std::filesystem::exists(heartbeat_path(folder.path(), 0)));
}

}  // namespace
}  // namespace shardquant::control
