#include <gtest/gtest.h>

#include "pipeline/comm/mpi_communicator.hpp"

namespace shardquant::comm {
namespace {

// Not a test of the product: shows that the test main notices a rank that root cannot see.
TEST(MpiTestMain, FailsWhereOneRankFails) {
  MpiCommunicator comm;
  EXPECT_NE(comm.rank(), comm.size() - 1) << "as intended";
}

}  // namespace
}  // namespace shardquant::comm
