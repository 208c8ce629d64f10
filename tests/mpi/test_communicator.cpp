#include <gtest/gtest.h>
#include <mpi.h>

#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>

#include "pipeline/comm/communicator.hpp"
#include "pipeline/comm/mpi_check.hpp"
#include "pipeline/comm/mpi_communicator.hpp"

namespace shardquant::comm {
namespace {

std::vector<std::byte> random_bytes(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::byte& value : bytes) value = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

// Sizes around the piece size of the tests, where splitting could go wrong.
constexpr std::int64_t kPiece = 64;
constexpr std::int64_t kSizes[] = {0, 1, 63, 64, 65, 128, 1000};

TEST(MpiCommunicator, KnowsRankAndSize) {
  MpiCommunicator comm;
  int rank = -1, size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  EXPECT_EQ(comm.rank(), rank);
  EXPECT_EQ(comm.size(), size);
  EXPECT_EQ(comm.is_root(), rank == 0);
}

TEST(MpiCommunicator, BroadcastsBytesOfAnySize) {
  MpiCommunicator comm(kPiece);
  for (const std::int64_t bytes : kSizes) {
    const auto expected = random_bytes(bytes, 7);
    auto data = comm.is_root() ? expected : std::vector<std::byte>(expected.size());
    comm.broadcast(data);
    EXPECT_EQ(data, expected) << bytes;
  }
}

TEST(MpiCommunicator, BroadcastsTextOfRoot) {
  MpiCommunicator comm(kPiece);
  const std::string text(300, 'x');
  EXPECT_EQ(broadcast_text(comm, comm.is_root() ? text : "of no account"), text);
  EXPECT_EQ(broadcast_text(comm, comm.is_root() ? "" : "of no account"), "");
}

TEST(MpiCommunicator, PassesMessagesAroundInOrder) {
  MpiCommunicator comm(kPiece);
  if (comm.size() == 1) return;
  // Rank 0 starts the ring, so nobody waits for a send that waits for him.
  const int next = (comm.rank() + 1) % comm.size();
  const int previous = (comm.rank() + comm.size() - 1) % comm.size();
  for (const std::int64_t bytes : kSizes) {
    const auto first = random_bytes(bytes, 1);
    const auto second = random_bytes(bytes, 2);
    std::vector<std::byte> got_first(first.size()), got_second(second.size());
    const auto pass_on = [&] {
      comm.send(first, next);
      comm.send(second, next);
    };
    if (comm.is_root()) pass_on();
    comm.receive(got_first, previous);
    comm.receive(got_second, previous);
    if (!comm.is_root()) pass_on();
    EXPECT_EQ(got_first, first) << bytes;
    EXPECT_EQ(got_second, second) << bytes;
  }
}

TEST(MpiCommunicator, ShortMessageIsAFault) {
  MpiCommunicator comm(kPiece);
  if (comm.size() == 1) return;
  if (comm.rank() == 1) comm.send(random_bytes(10, 1), 0);
  if (comm.is_root()) {
    std::vector<std::byte> data(11);
    EXPECT_THROW(comm.receive(data, 1), Failure);
  }
}

TEST(MpiCommunicator, GathersSizesThatDiffer) {
  MpiCommunicator comm(kPiece);
  const auto size_of = [](int rank) { return std::int64_t{37} * ((rank * 5) % 4); };
  const auto parts =
      comm.gather(random_bytes(size_of(comm.rank()), static_cast<std::uint64_t>(comm.rank())));
  if (!comm.is_root()) {
    EXPECT_TRUE(parts.empty());
    return;
  }
  ASSERT_EQ(static_cast<int>(parts.size()), comm.size());
  for (int rank = 0; rank < comm.size(); ++rank) {
    EXPECT_EQ(parts[static_cast<std::size_t>(rank)],
              random_bytes(size_of(rank), static_cast<std::uint64_t>(rank)));
  }
}

TEST(MpiCommunicator, FindsTheLargestValueOfAllRanks) {
  MpiCommunicator comm;
  EXPECT_EQ(comm.max(comm.rank()), comm.size() - 1);
  EXPECT_EQ(comm.max(-comm.rank() - 5), -5);
  EXPECT_EQ(comm.max(std::int64_t{1} << 62), std::int64_t{1} << 62);
}

TEST(MpiCommunicator, AFlagOfAnyRankIsKnownToAll) {
  MpiCommunicator comm(kPiece);
  constexpr int kFlags = 200;
  std::vector<std::byte> flags(kFlags);
  for (int i = 0; i < kFlags; ++i) {
    // The last third is set nowhere, the first by one rank each, the second by all.
    const bool mine = i < 70 ? i % comm.size() == comm.rank() : i < 130;
    flags[static_cast<std::size_t>(i)] = static_cast<std::byte>(mine ? 1 + comm.rank() : 0);
  }
  const std::vector<bool> any = any_of_ranks(comm, flags);
  ASSERT_EQ(any.size(), flags.size());
  for (int i = 0; i < kFlags; ++i) EXPECT_EQ(any[static_cast<std::size_t>(i)], i < 130) << i;
  EXPECT_TRUE(any_of_ranks(comm, {}).empty());
}

TEST(MpiCommunicator, ErrorsOfMpiBecomeFailures) {
  MpiCommunicator comm;
  const std::byte data{};
  try {
    comm.send(std::span(&data, 1), comm.size());
    ADD_FAILURE() << "sending to a rank that does not exist";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::unavailable);
    EXPECT_NE(std::string(failure.what()).find("MPI_Send"), std::string::npos) << failure.what();
  }
}

// What a collective left: the exit code and text of its SharedFailure, or done.
struct Outcome {
  ExitCode code = ExitCode::done;
  std::string text;
};

template <class Call>
Outcome outcome_of(Call&& call) {
  try {
    call();
  } catch (const SharedFailure& failure) {
    return {failure.code(), failure.what()};
  }
  return {};
}

TEST(SharedFailures, WorkOfRootRunsOnRootAlone) {
  MpiCommunicator comm;
  int calls = 0;
  on_root(comm, [&] { ++calls; });
  EXPECT_EQ(calls, comm.is_root() ? 1 : 0);
}

TEST(SharedFailures, FaultOfRootReachesAllWithOneText) {
  MpiCommunicator comm;
  const Outcome outcome =
      outcome_of([&] { on_root(comm, [] { fail(ExitCode::no_input, "model missing"); }); });
  EXPECT_EQ(outcome.code, ExitCode::no_input);
  EXPECT_EQ(outcome.text, comm.is_root() ? "model missing" : "");
}

TEST(SharedFailures, LowestFailedRankSpeaksForAll) {
  MpiCommunicator comm;
  const int first = comm.size() / 2;
  const Outcome outcome = outcome_of([&] {
    on_all(comm, [&] {
      if (comm.rank() < first) return;
      fail(comm.rank() == first ? ExitCode::bad_data : ExitCode::io_error, "rank {}", comm.rank());
    });
  });
  EXPECT_EQ(outcome.code, ExitCode::bad_data);
  EXPECT_EQ(outcome.text, comm.rank() == first ? "rank " + std::to_string(first) : "");
}

TEST(SharedFailures, TextSurvivesEnclosingCollectives) {
  MpiCommunicator comm;
  const int last = comm.size() - 1;
  const Outcome outcome = outcome_of([&] {
    on_all(comm, [&] {
      on_all(comm, [&] {
        if (comm.rank() == last) fail(ExitCode::io_error, "disk full");
      });
    });
  });
  EXPECT_EQ(outcome.code, ExitCode::io_error);
  EXPECT_EQ(outcome.text, comm.rank() == last ? "disk full" : "");
}

TEST(SharedFailures, RanksAreInStepAfterwards) {
  MpiCommunicator comm;
  for (int round = 0; round < 100; ++round) {
    const int victim = round % comm.size();
    const Outcome outcome = outcome_of([&] {
      on_all(comm, [&] {
        if (comm.rank() == victim) fail(ExitCode::bad_data, "round {}", round);
      });
    });
    EXPECT_EQ(outcome.text, comm.rank() == victim ? "round " + std::to_string(round) : "");
    EXPECT_EQ(comm.max(round * 10 + comm.rank()), round * 10 + comm.size() - 1);
  }
}

}  // namespace
}  // namespace shardquant::comm
