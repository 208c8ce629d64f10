#include <gtest/gtest.h>

#include <map>
#include <string>

#include "pipeline/control/time_limit.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::control {
namespace {

std::optional<double> limit(const std::string& text,
                            const std::map<std::string, std::string>& environment = {}) {
  return read_time_limit(text, 1000.0, [&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(TimeLimit, TakesSecondsAndClockTimes) {
  EXPECT_EQ(limit("90"), 90.0);
  EXPECT_EQ(limit("1.5"), 1.5);
  EXPECT_EQ(limit("02:30"), 150.0);
  EXPECT_EQ(limit("08:00:01"), 28801.0);
  EXPECT_EQ(limit("none"), std::nullopt);
}

TEST(TimeLimit, AutoIsWhatSlurmTells) {
  EXPECT_EQ(limit("auto"), std::nullopt);
  EXPECT_EQ(limit("auto", {{"SLURM_JOB_END_TIME", "4600"}}), 3600.0);
  EXPECT_EQ(limit("auto", {{"SLURM_JOB_END_TIME", "900"}}), std::nullopt);
  EXPECT_EQ(limit("auto", {{"SLURM_JOB_END_TIME", "UNLIMITED"}}), std::nullopt);
}

TEST(TimeLimit, AnythingElseIsAnErrorOfUsage) {
  for (const char* text : {"", "soon", "-5", "0", "1:2:3:4", "1:", ":1", "inf", "nan", "1e400"}) {
    try {
      limit(text);
      ADD_FAILURE() << text;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::usage) << text;
    }
  }
}

TEST(TimeLimit, LeavesRoomForALayerACheckpointAndAReserve) {
  EXPECT_FALSE(is_time_to_leave(3000, 3600, 300, 30));
  EXPECT_TRUE(is_time_to_leave(3210, 3600, 300, 30));
  EXPECT_FALSE(is_time_to_leave(3209, 3600, 300, 30));
  EXPECT_TRUE(is_time_to_leave(9.1, 10, 0, 0));  // a reserve of a minute would leave nothing
  EXPECT_FALSE(is_time_to_leave(8.9, 10, 0, 0));
}

}  // namespace
}  // namespace shardquant::control
