#include "pipeline/comm/local_communicator.hpp"

#include <gtest/gtest.h>

namespace shardquant::comm {
namespace {

TEST(LocalCommunicator, IsAWorldOfOne) {
  LocalCommunicator comm;
  EXPECT_EQ(comm.size(), 1);
  EXPECT_TRUE(comm.is_root());
  EXPECT_EQ(comm.max(-7), -7);
  EXPECT_EQ(broadcast_text(comm, "text"), "text");
  const std::vector<std::byte> data(3, std::byte{9});
  EXPECT_EQ(comm.gather(data), (std::vector<std::vector<std::byte>>{data}));
}

TEST(LocalCommunicator, HasNobodyToTalkTo) {
  LocalCommunicator comm;
  std::byte data{};
  EXPECT_THROW(comm.send(std::span(&data, 1), 0), Failure);
  EXPECT_THROW(comm.receive(std::span(&data, 1), 1), Failure);
}

TEST(LocalCommunicator, FailuresKeepCodeAndText) {
  LocalCommunicator comm;
  try {
    on_root(comm, [] { fail(ExitCode::config, "bpw too small"); });
    ADD_FAILURE();
  } catch (const SharedFailure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::config);
    EXPECT_STREQ(failure.what(), "bpw too small");
  }
}

TEST(LocalCommunicator, FlagsAreItsOwn) {
  LocalCommunicator comm;
  const std::vector<std::byte> flags = {std::byte{0}, std::byte{7}, std::byte{0}};
  EXPECT_EQ(any_of_ranks(comm, flags), (std::vector<bool>{false, true, false}));
}

TEST(LocalCommunicatorDeathTest, AbortEndsTheProcessWithTheCode) {
  EXPECT_EXIT(LocalCommunicator().abort(74), testing::ExitedWithCode(74), "");
}

}  // namespace
}  // namespace shardquant::comm
