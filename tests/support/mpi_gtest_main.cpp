#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>

#include "tests/support/mpi_test_listener.hpp"

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  testing::InitGoogleTest(&argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  std::unique_ptr<testing::TestEventListener> printer(
      listeners.Release(listeners.default_result_printer()));
  if (rank != 0) printer.reset();
  auto* listener = new shardquant::tests::MpiTestListener(std::move(printer));
  listeners.Append(listener);  // takes ownership
  const bool own_failure = RUN_ALL_TESTS() != 0;
  const bool failed = own_failure || listener->failed();
  if (rank == 0 && failed && !own_failure) std::puts("FAILED on a rank other than 0");
  MPI_Finalize();
  return failed ? 1 : 0;
}
