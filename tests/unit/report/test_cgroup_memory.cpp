#include "pipeline/report/cgroup_memory.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temp_directory.hpp"

namespace shardquant::report {
namespace {

// A tree of control groups of the test's own.
class CgroupMemory : public testing::Test {
 protected:
  void write(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories((root_.path() / file).parent_path());
    std::ofstream(root_.path() / file) << text;
  }
  std::int64_t available() const {
    return cgroup_available_bytes({root_.path() / "own", root_.path() / "mount"});
  }

  tests::TempDirectory root_;
};

TEST_F(CgroupMemory, WithoutGroupsThereIsNoLimit) {
  EXPECT_EQ(available(), -1);
  write("own", "0::/system/job\n");
  EXPECT_EQ(available(), -1);
  write("mount/system/job/memory.max", "max\n");
  EXPECT_EQ(available(), -1);
}

TEST_F(CgroupMemory, SecondVersionCountsWhatTheFileCacheCouldDrop) {
  write("own", "0::/slurm/job_7/step_0\n");
  write("mount/slurm/job_7/step_0/memory.max", "1000\n");
  write("mount/slurm/job_7/step_0/memory.current", "700\n");
  write("mount/slurm/job_7/step_0/memory.stat", "anon 500\nfile 200\ninactive_file 150\n");
  EXPECT_EQ(available(), 1000 - (700 - 150));
}

TEST_F(CgroupMemory, AGroupAboveMayHaveLess) {
  write("own", "0::/slurm/job_7/step_0\n");
  write("mount/slurm/job_7/step_0/memory.max", "max\n");
  write("mount/slurm/job_7/memory.max", "1000\n");
  write("mount/slurm/job_7/memory.current", "400\n");
  write("mount/slurm/memory.max", "900\n");
  write("mount/slurm/memory.current", "600\n");
  EXPECT_EQ(available(), 300);
}

TEST_F(CgroupMemory, FirstVersion) {
  write("own", "9:name=systemd:/\n4:cpuacct,memory:/slurm/job_7\n0::/\n");
  write("mount/memory/memory.limit_in_bytes", "9223372036854771712\n");  // none
  write("mount/memory/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(available(), -1);
  write("mount/memory/slurm/job_7/memory.limit_in_bytes", "1000\n");
  write("mount/memory/slurm/job_7/memory.usage_in_bytes", "900\n");
  write("mount/memory/slurm/job_7/memory.stat", "inactive_file 7\ntotal_inactive_file 50\n");
  EXPECT_EQ(available(), 150);
}

TEST_F(CgroupMemory, InsideOfAContainerTheTopIsItsGroup) {
  write("own", "0::/\n");
  write("mount/memory.max", "1000\n");
  write("mount/memory.current", "1200\n");  // being reclaimed
  EXPECT_EQ(available(), 0);
}

}  // namespace
}  // namespace shardquant::report
