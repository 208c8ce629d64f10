#include <mpi.h>

#include <array>
#include <cstdlib>
#include <string>

#include "pipeline/comm/launch_environment.hpp"
#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/comm/mpi_check.hpp"
#include "pipeline/comm/mpi_communicator.hpp"
#include "pipeline/comm/session.hpp"

namespace shardquant::comm {

Session::Session() {
  const auto launch =
      LaunchEnvironment::read([](const char* variable) { return std::getenv(variable); });
  uses_mpi_ = launch.mpi_launcher;
  if (uses_mpi_) {
    // The back ends compute in threads; MPI is called from the main one alone.
    int provided = MPI_THREAD_SINGLE;
    SHARDQUANT_MPI_TRY(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    if (provided < MPI_THREAD_FUNNELED) {
      fail(ExitCode::unavailable, "this MPI cannot be used in a program with threads");
    }
    comm_ = std::make_unique<MpiCommunicator>();
  } else {
    comm_ = std::make_unique<LocalCommunicator>();
  }
  // MPI_Init succeeds without the other ranks where launcher and library do not fit together.
  const std::string complaint = launch.complaint(comm_->size());
  if (!complaint.empty()) fail(ExitCode::unavailable, "{}", complaint);
}

void Session::finish() {
  if (uses_mpi_) SHARDQUANT_MPI_TRY(MPI_Finalize());
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  SHARDQUANT_MPI_TRY(MPI_Get_library_version(text.data(), &length));
  // Open MPI goes on with its package and date, MPICH with a page about its build.
  const std::string all = text.data();
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace shardquant::comm
