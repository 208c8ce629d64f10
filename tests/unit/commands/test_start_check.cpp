#include "pipeline/commands/start_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/commands/rank_facts.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::commands {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

// Root of three ranks, the others of which send what root does, changed by `altered`.
class RootOfThree final : public comm::Communicator {
 public:
  using Change = std::function<std::string(int rank, const std::string& roots)>;
  explicit RootOfThree(Change altered) : altered_(std::move(altered)) {}

  int rank() const override { return 0; }
  int size() const override { return 3; }
  void barrier() override {}
  void broadcast(std::span<std::byte>) override {}
  void send(std::span<const std::byte>, int) override {}
  void receive(std::span<std::byte>, int) override {}
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> data) override {
    const std::string mine(reinterpret_cast<const char*>(data.data()), data.size());
    std::vector<std::vector<std::byte>> all;
    for (int r = 0; r < size(); ++r) {
      const std::string text = r == 0 ? mine : altered_(r, mine);
      all.emplace_back(text.size());
      std::memcpy(all.back().data(), text.data(), text.size());
    }
    return all;
  }
  std::int64_t max(std::int64_t value) override { return value; }
  void raise_notice() override {}
  bool notice_raised() override { return false; }
  [[noreturn]] void abort(int) override { std::abort(); }

 private:
  Change altered_;
};

RankFacts facts_of(const std::string& host) {
  RankFacts facts;
  facts.host = host;
  facts.device = "cpu (AVX2, 2 threads)";
  facts.threads = 2;
  facts.processors = {0, 1, 2, 3, 4, 5, 6, 7};
  facts.memory_needed = 3 * kGiB;
  facts.memory_available = 16 * kGiB;
  return facts;
}

StartFacts job_of(std::vector<RankFacts> ranks) {
  StartFacts facts;
  facts.launched = std::ssize(ranks);
  facts.ranks = std::move(ranks);
  return facts;
}

// What the refusal of a call says.
std::string refusal(comm::Communicator& comm, const std::string& build, const std::string& call) {
  try {
    require_same_program(comm, build, call);
  } catch (const comm::SharedFailure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::unavailable);
    return failure.what();
  }
  return {};
}

TEST(RankFacts, ArriveAsTheyWereSent) {
  comm::LocalCommunicator alone;
  RankFacts facts = facts_of("node 17");
  facts.device_identity = "GPU-1234 5678";
  EXPECT_THAT(gather_facts(alone, facts), ElementsAre(facts));
  facts = {};
  EXPECT_THAT(gather_facts(alone, facts), ElementsAre(facts));
}

TEST(RankFacts, OfAnotherFormAreRefused) {
  RootOfThree comm([](int rank, const std::string& mine) { return rank == 2 ? "noise" : mine; });
  EXPECT_THROW(gather_facts(comm, facts_of("n1")), Failure);
}

TEST(RankFacts, OfThisMachine) {
  const RankFacts facts = local_facts();
  EXPECT_FALSE(facts.host.empty());
  EXPECT_FALSE(facts.processors.empty());
  EXPECT_GT(facts.memory_available, 0);
}

TEST(SameProgram, OnAllRanksIsFine) {
  RootOfThree comm([](int, const std::string& mine) { return mine; });
  EXPECT_EQ(refusal(comm, "0.1.0 abc", "run job.yaml"), "");
}

TEST(SameProgram, RefusesAnotherBuildByRankAndBuild) {
  RootOfThree comm([](int rank, const std::string& mine) {
    return rank == 2 && mine == "0.1.0 abc" ? "0.1.0 def" : mine;
  });
  EXPECT_THAT(refusal(comm, "0.1.0 abc", "run job.yaml"),
              AllOf(HasSubstr("rank 2 "), HasSubstr("0.1.0 def"), HasSubstr("0.1.0 abc"),
                    HasSubstr("all nodes see")));
}

TEST(SameProgram, RefusesAnotherCallByRankAndCall) {
  RootOfThree comm([](int rank, const std::string& mine) {
    return rank == 1 && mine == "run job.yaml" ? "run other.yaml" : mine;
  });
  EXPECT_THAT(refusal(comm, "0.1.0 abc", "run job.yaml"),
              AllOf(HasSubstr("rank 1 "), HasSubstr("\"run other.yaml\""),
                    HasSubstr("\"run job.yaml\""), HasSubstr("one command line")));
}

TEST(StartCheck, SoundJobIsToldInOneBlock) {
  StartFacts facts = job_of({facts_of("n1"), facts_of("n1"), facts_of("n2"), facts_of("n2")});
  facts.disks = {{"work.dir", "/scratch/work", 5 * kGiB, 20 * kGiB, 1},
                 {"output.dir", "/models/out", 7 * kGiB, 8 * kGiB, 2}};
  const StartReport report = judge_start(facts);
  EXPECT_THAT(report.complaints, IsEmpty());
  EXPECT_THAT(report.shortages, IsEmpty());
  EXPECT_THAT(
      report.lines,
      ElementsAre("launch   4 rank(s) on 2 host(s), 4 task(s) started; one build, one command line",
                  "devices  n1, n2: 2 rank(s), 4 thread(s), 8 processor(s), cpu (AVX2, 2 threads)",
                  "memory   n1: 2 rank(s) need 6.00 GiB at most, 16.0 GiB available",
                  "disk     5.00 GiB for work.dir in /scratch/work, 20.0 GiB free",
                  "disk     7.00 GiB for output.dir in /models/out, 8.00 GiB free"));
}

TEST(StartCheck, AThousandHostsTakeOneLine) {
  std::vector<RankFacts> ranks;
  for (int host = 0; host < 1000; ++host) {
    ranks.push_back(facts_of("n" + std::to_string(1000 + host)));
  }
  const StartReport report = judge_start(job_of(ranks));
  EXPECT_THAT(report.lines, SizeIs(3));
  EXPECT_THAT(report.lines, Contains(HasSubstr("n1000, n1001, n1002, n1003 and 996 more: 1 rank")));
}

TEST(StartCheck, RefusesFewerRanksThanTasks) {
  StartFacts facts = job_of({facts_of("n1")});
  facts.launched = 4;
  EXPECT_THAT(
      judge_start(facts).complaints,
      ElementsAre(AllOf(HasSubstr("4 tasks"), HasSubstr("1 rank"), HasSubstr("srun --mpi=pmix"))));
  facts = job_of({facts_of("n1"), facts_of("n1")});
  facts.launched = 1;  // a heterogeneous job: its parts count for themselves
  EXPECT_THAT(judge_start(facts).complaints, IsEmpty());
}

TEST(StartCheck, WarnsOfADeviceThatRanksOfAHostShare) {
  RankFacts first = facts_of("n1");
  first.device = "cuda (device 0)";
  first.device_identity = "0000:17:00.0";
  RankFacts second = first;
  second.host = "n2";  // another device
  EXPECT_THAT(judge_start(job_of({first, second})).lines, Not(Contains(HasSubstr("warning"))));
  second.host = "n1";
  const StartReport report = judge_start(job_of({first, second}));
  EXPECT_THAT(report.complaints, IsEmpty());
  EXPECT_THAT(report.lines, Contains(AllOf(HasSubstr("warning: n1: ranks share a device"),
                                           HasSubstr("0000:17:00.0"), HasSubstr("--gpu-bind"))));
}

TEST(StartCheck, DevicesOfOneHostAreMappedAndAlike) {
  RankFacts first = facts_of("n1");
  first.device = "cuda (device 0)";
  first.device_identity = "0000:17:00.0";
  RankFacts second = first;
  second.device = "cuda (device 1)";
  second.device_identity = "0000:18:00.0";
  const StartReport report = judge_start(job_of({first, second}));
  EXPECT_THAT(report.lines, Contains(HasSubstr("cuda (device 0) and cuda (device 1)")));
  EXPECT_THAT(report.lines, Not(Contains(HasSubstr("warning"))));
}

TEST(StartCheck, WarnsOfMoreThreadsThanProcessors) {
  const auto warns = [](std::set<int> first, std::set<int> second) {
    RankFacts ranks[] = {facts_of("n1"), facts_of("n1")};  // of two threads each
    ranks[0].processors = std::move(first);
    ranks[1].processors = std::move(second);
    const StartReport report = judge_start(job_of({ranks[0], ranks[1]}));
    EXPECT_THAT(report.complaints, IsEmpty());
    return testing::Value(report.lines,
                          Contains(AllOf(HasSubstr("warning: n1: more threads than processors"),
                                         HasSubstr("SRUN_CPUS_PER_TASK"))));
  };
  EXPECT_FALSE(warns({0, 1}, {2, 3}));  // bound to processors of their own
  EXPECT_FALSE(warns({0, 1, 2, 3}, {0, 1, 2, 3}));
  EXPECT_TRUE(warns({0, 1, 2}, {0, 1, 2}));
  EXPECT_TRUE(warns({0, 1, 2, 3, 4, 5}, {6}));  // the threads of one on one processor
  EXPECT_FALSE(warns({}, {}));                  // unknown
}

TEST(StartCheck, WarnsOfRanksThatRoundDifferently) {
  RankFacts other = facts_of("n2");
  other.device = "cpu (AVX-512, 2 threads)";
  const StartReport report = judge_start(job_of({facts_of("n1"), other}));
  EXPECT_THAT(report.complaints, IsEmpty());
  EXPECT_THAT(report.lines, Contains(HasSubstr("warning: not all ranks compute with the same")));
}

TEST(StartCheck, RefusesTheHostWhoseRanksNeedMoreMemoryThanThereIs) {
  // Five of 3 GiB fit into 16 GiB, six do not.
  std::vector<RankFacts> ranks(5, facts_of("n1"));
  ranks.push_back(facts_of("n2"));
  EXPECT_THAT(judge_start(job_of(ranks)).shortages, IsEmpty());
  ranks.push_back(facts_of("n1"));
  EXPECT_THAT(judge_start(job_of(ranks)).shortages,
              ElementsAre(AllOf(HasSubstr("n1: 6 rank(s) need 18.0 GiB"),
                                HasSubstr("16.0 GiB available"), HasSubstr("--mem=0"))));
}

TEST(StartCheck, TakesTheLeastOfWhatRanksOfAHostSeeAvailable) {
  RankFacts late = facts_of("n1");
  late.memory_available = 5 * kGiB;
  EXPECT_THAT(judge_start(job_of({facts_of("n1"), late})).shortages, SizeIs(1));
}

TEST(StartCheck, UnknownMemoryIsNoReasonToRefuse) {
  RankFacts facts = facts_of("n1");
  facts.memory_available = 0;
  const StartReport report = judge_start(job_of({facts}));
  EXPECT_THAT(report.shortages, IsEmpty());
  EXPECT_THAT(report.lines, Contains(HasSubstr("does not tell")));
}

TEST(StartCheck, FoldersOfOneFileSystemShareItsRoom) {
  StartFacts facts = job_of({facts_of("n1")});
  facts.disks = {{"work.dir", "/s/work", 5 * kGiB, 8 * kGiB, 1},
                 {"output.dir", "/s/out", 4 * kGiB, 8 * kGiB, 2}};
  EXPECT_THAT(judge_start(facts).shortages, IsEmpty());
  facts.disks[1].file_system = 1;
  EXPECT_THAT(judge_start(facts).shortages,
              ElementsAre(AllOf(HasSubstr("5.00 GiB for work.dir in /s/work"),
                                HasSubstr("4.00 GiB for output.dir in /s/out"),
                                HasSubstr("8.00 GiB free"), HasSubstr("recompute"))));
}

TEST(DiskNeed, OfAFolderThatIsNotThereYetIsAskedOfItsParent) {
  const tests::TempDirectory temporary;
  const DiskNeed there = disk_need("work.dir", temporary.path(), 7);
  const DiskNeed later = disk_need("work.dir", temporary.path() / "a" / "b", 7);
  EXPECT_EQ(later.file_system, there.file_system);
  EXPECT_GT(later.free, 0);
  EXPECT_EQ(later.bytes, 7);
  EXPECT_EQ(later.folder, temporary.path() / "a" / "b");
}

}  // namespace
}  // namespace shardquant::commands
