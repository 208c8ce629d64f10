#include <mpi.h>

#include <cstdlib>
#include <string>

#include "pipeline/comm/local_communicator.hpp"
#include "pipeline/comm/mpi_check.hpp"
#include "pipeline/comm/mpi_communicator.hpp"
#include "pipeline/comm/session.hpp"

namespace shardquant::comm {

namespace {

bool is_set(const char* variable) {
  return std::getenv(variable) != nullptr;
}

// Variables by which launchers make themselves known to their ranks.
bool launched_under_mpi() {
  return is_set("OMPI_COMM_WORLD_SIZE") || is_set("PMIX_RANK") || is_set("PMI_RANK");
}

int slurm_tasks() {
  if (!is_set("SLURM_PROCID") || !is_set("SLURM_STEP_NUM_TASKS")) {
    const char* tasks = std::getenv("SLURM_NTASKS");
    return tasks != nullptr && is_set("SLURM_PROCID") ? std::atoi(tasks) : 1;
  }
  return std::atoi(std::getenv("SLURM_STEP_NUM_TASKS"));
}

}  // namespace

Session::Session() {
  uses_mpi_ = launched_under_mpi();
  if (!uses_mpi_) {
    if (slurm_tasks() > 1) {
      fail(
          ExitCode::unavailable,
          "Slurm started {} tasks, but they cannot see each other; start them with srun --mpi=pmix",
          slurm_tasks());
    }
    comm_ = std::make_unique<LocalCommunicator>();
    return;
  }
  SHARDQUANT_MPI_TRY(MPI_Init(nullptr, nullptr));
  comm_ = std::make_unique<MpiCommunicator>();
}

void Session::finish() {
  if (uses_mpi_) MPI_Finalize();
}

}  // namespace shardquant::comm
