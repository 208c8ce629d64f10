#include "pipeline/comm/launch_environment.hpp"

#include <gtest/gtest.h>

#include <map>

namespace shardquant::comm {
namespace {

LaunchEnvironment read(const std::map<std::string, std::string>& variables) {
  return LaunchEnvironment::read([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(LaunchEnvironment, BareShellIsOneRankWithoutMpi) {
  const auto launch = read({{"PATH", "/bin"}});
  EXPECT_FALSE(launch.mpi_launcher);
  EXPECT_EQ(launch.ranks, 1);
  EXPECT_EQ(launch.complaint(1), "");
}

TEST(LaunchEnvironment, MpirunCountsForItselfInsideASlurmJob) {
  const auto launch =
      read({{"OMPI_COMM_WORLD_SIZE", "2"}, {"PMIX_RANK", "1"}, {"SLURM_NTASKS", "8"}});
  EXPECT_TRUE(launch.mpi_launcher);
  EXPECT_EQ(launch.complaint(2), "");
}

TEST(LaunchEnvironment, SrunWithPmixConnectsTheStep) {
  const auto launch =
      read({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_NTASKS", "8"}});
  EXPECT_TRUE(launch.mpi_launcher);
  EXPECT_EQ(launch.complaint(4), "");
}

TEST(LaunchEnvironment, RanksOfAMachineAreCountedByTheLauncher) {
  EXPECT_EQ(read({{"PATH", "/bin"}}).local_rank, 0);
  EXPECT_EQ(read({{"OMPI_COMM_WORLD_LOCAL_RANK", "3"}}).local_rank, 3);
  EXPECT_EQ(read({{"SLURM_LOCALID", "2"}, {"PMIX_RANK", "10"}}).local_rank, 2);
}

TEST(LaunchEnvironment, KnowsThePlaceAmongAllBeforeMpiIsStarted) {
  EXPECT_EQ(read({{"PATH", "/bin"}}).rank, 0);
  EXPECT_EQ(read({{"OMPI_COMM_WORLD_RANK", "3"}, {"SLURM_PROCID", "0"}}).rank, 3);
  EXPECT_EQ(read({{"PMIX_RANK", "10"}}).rank, 10);
  EXPECT_EQ(read({{"SLURM_PROCID", "2"}}).rank, 2);
}

TEST(LaunchEnvironment, SingletonsAreRefusedWithTheRemedy) {
  const auto launch = read({{"SLURM_NTASKS", "4"}});
  EXPECT_FALSE(launch.mpi_launcher);
  const std::string complaint = launch.complaint(1);
  EXPECT_NE(complaint.find("4 tasks"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("--mpi=pmix"), std::string::npos) << complaint;
}

TEST(LaunchEnvironment, LauncherOfAnotherMpiIsNoticed) {
  EXPECT_NE(read({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}}).complaint(1), "");
  EXPECT_NE(read({{"PMI_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "3"}}).complaint(1), "");
}

TEST(LaunchEnvironment, OneTaskOfAJobMayRunAlone) {
  EXPECT_EQ(read({{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "8"}}).complaint(1), "");
}

TEST(LaunchEnvironment, PartsOfAHeterogeneousJobSeeMoreRanksThanTheirOwn) {
  EXPECT_EQ(read({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "4"}}).complaint(12), "");
}

TEST(LaunchEnvironment, ValuesThatAreNoCountsAreIgnored) {
  for (const char* value : {"", "many", "4x", "-3", "0", "99999999999999999999"}) {
    EXPECT_EQ(read({{"SLURM_NTASKS", value}}).ranks, 1) << value;
  }
}

}  // namespace
}  // namespace shardquant::comm
