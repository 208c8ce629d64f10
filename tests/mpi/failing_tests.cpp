#include <gtest/gtest.h>

#include "pipeline/comm/mpi_communicator.hpp"

namespace shardquant::comm {
namespace {

// Not tests of the product: they show that the test main notices a rank that root cannot see, and
// that it does not wait for ever.
TEST(MpiTestMain, FailsWhereOneRankFails) {
  MpiCommunicator comm;
  EXPECT_NE(comm.rank(), comm.size() - 1) << "as intended";
}

TEST(MpiTestMain, EndsWhereARankWaitsForEver) {
  MpiCommunicator comm;
  std::byte data{};
  if (comm.is_root()) comm.receive(std::span(&data, 1), comm.size() - 1);
}

}  // namespace
}  // namespace shardquant::comm
