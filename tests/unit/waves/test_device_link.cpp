#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "kernels/make_backend.hpp"
#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/waves/device_link.hpp"
#include "tests/support/fake_transport.hpp"

namespace shardquant::waves {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using tests::FakeTransport;
using tests::Fault;
using Clock = std::chrono::steady_clock;

struct Outcome {
  std::string error;  // empty: all went well
  std::chrono::milliseconds took{};
  std::shared_ptr<FakeTransport::Record> record = std::make_shared<FakeTransport::Record>();
};

// Two transfers with rank 2: one sent, one received; `spoiled` of them (0: the connecting) meets
// the fault.
Outcome run(int rank, Fault fault, int spoiled, std::chrono::milliseconds timeout) {
  Outcome outcome;
  const auto begin = Clock::now();
  try {
    DeviceLink link(std::make_unique<FakeTransport>(fault, spoiled, outcome.record), rank, timeout);
    std::vector<float> values(6);
    link.send({values.data(), 2, 3, 3}, 2, "Hessian of model.layers.3.o_in");
    link.receive({values.data(), 2, 3, 3}, 2, "Hessian of model.layers.3.o_in");
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::unavailable);
    outcome.error = failure.what();
  }
  outcome.took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  return outcome;
}

TEST(DeviceLink, ADelayIsWaitedFor) {
  for (const int spoiled : {0, 1, 2}) {
    const Outcome outcome = run(1, Fault::delay, spoiled, 10s);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.record->transfers, 2);
    EXPECT_GE(outcome.record->polls, 20);
    EXPECT_FALSE(outcome.record->aborted);
  }
}

TEST(DeviceLink, AnErrorEndsTheTransferAtOnceAndNamesRankPeerAndCause) {
  const char* const doing[] = {"connecting", "sending the Hessian of model.layers.3.o_in to rank 2",
                               "waiting for the Hessian of model.layers.3.o_in of rank 2"};
  for (const int spoiled : {0, 1, 2}) {
    const Outcome outcome = run(1, Fault::error, spoiled, 60s);
    EXPECT_THAT(outcome.error, HasSubstr("rank 1"));
    EXPECT_THAT(outcome.error, HasSubstr(doing[spoiled]));
    EXPECT_THAT(outcome.error, HasSubstr("remote process exited"));
    EXPECT_TRUE(outcome.record->aborted);
    EXPECT_LT(outcome.took, 30s);
  }
}

TEST(DeviceLink, ALostPeerIsNamedWhenTheTimeIsUp) {
  const char* const doing[] = {"connecting", "to rank 2", "of rank 2"};
  for (const int spoiled : {0, 1, 2}) {
    const Outcome outcome = run(1, Fault::lost_peer, spoiled, 200ms);
    EXPECT_THAT(outcome.error, HasSubstr(doing[spoiled]));
    EXPECT_THAT(outcome.error, HasSubstr("not done after 0.2 s"));
    EXPECT_TRUE(outcome.record->aborted);
    EXPECT_GE(outcome.took, 200ms);
    EXPECT_LT(outcome.took, 5s);
  }
}

TEST(DeviceLink, AllRanksThatWaitForALostOneEnd) {
  std::vector<Outcome> outcomes(3);
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&outcomes, rank] {
      outcomes[static_cast<std::size_t>(rank)] = run(rank, Fault::lost_peer, rank, 300ms);
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (int rank = 0; rank < 3; ++rank) {
    const Outcome& outcome = outcomes[static_cast<std::size_t>(rank)];
    EXPECT_THAT(outcome.error, HasSubstr("rank " + std::to_string(rank) + ","));
    EXPECT_TRUE(outcome.record->aborted);
    EXPECT_LT(outcome.took, 5s);
  }
}

TEST(DeviceLink, OneRankNeedsNone) {
  comm::LocalCommunicator comm;
  std::string reason;
  const auto backend = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
  EXPECT_EQ(open_device_link(comm, *backend, reason), nullptr);
  EXPECT_EQ(reason, "one rank");
}

}  // namespace
}  // namespace shardquant::waves
