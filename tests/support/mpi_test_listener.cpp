#include "tests/support/mpi_test_listener.hpp"

#include <mpi.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace shardquant::tests {

namespace {

// A rank that fails leaves the others in a collective call that it never makes. The alarm's default
// action ends the process, and with it the launcher ends all ranks.
unsigned seconds_per_test() {
  const char* seconds = std::getenv("SHARDQUANT_MPI_TEST_SECONDS");
  return seconds != nullptr ? static_cast<unsigned>(std::stoul(seconds)) : 60;
}

// Concatenates every rank's text on rank 0; empty elsewhere.
std::string gather_text(const std::string& text) {
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int length = static_cast<int>(text.size());
  std::vector<int> lengths(static_cast<std::size_t>(size));
  MPI_Gather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, MPI_COMM_WORLD);
  std::vector<int> starts(static_cast<std::size_t>(size));
  int total = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    starts[i] = total;
    total += lengths[i];
  }
  std::string all(rank == 0 ? static_cast<std::size_t>(total) : 0, '\0');
  MPI_Gatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), starts.data(), MPI_CHAR, 0,
              MPI_COMM_WORLD);
  return all;
}

}  // namespace

void MpiTestListener::OnTestProgramStart(const testing::UnitTest& program) {
  if (printer_) printer_->OnTestProgramStart(program);
}

void MpiTestListener::OnTestSuiteStart(const testing::TestSuite& suite) {
  if (printer_) printer_->OnTestSuiteStart(suite);
}

void MpiTestListener::OnTestStart(const testing::TestInfo& test) {
  alarm(seconds_per_test());
  failures_.clear();
  if (printer_) printer_->OnTestStart(test);
}

void MpiTestListener::OnTestPartResult(const testing::TestPartResult& result) {
  if (printer_) printer_->OnTestPartResult(result);
  if (!result.failed() || printer_) return;
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  failures_ += "rank " + std::to_string(rank) + ": " +
               (result.file_name() != nullptr ? result.file_name() : "") + ":" +
               std::to_string(result.line_number()) + ": " + result.message() + "\n";
}

void MpiTestListener::OnTestEnd(const testing::TestInfo& test) {
  const std::string elsewhere = gather_text(failures_);
  int any = test.result()->Failed() ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  failed_ = failed_ || any != 0;
  alarm(0);
  if (!printer_) return;
  std::fputs(elsewhere.c_str(), stdout);
  if (any != 0 && !test.result()->Failed()) std::puts("failed on another rank:");
  printer_->OnTestEnd(test);
}

void MpiTestListener::OnTestSuiteEnd(const testing::TestSuite& suite) {
  if (printer_) printer_->OnTestSuiteEnd(suite);
}

void MpiTestListener::OnTestProgramEnd(const testing::UnitTest& program) {
  if (printer_) printer_->OnTestProgramEnd(program);
}

}  // namespace shardquant::tests
