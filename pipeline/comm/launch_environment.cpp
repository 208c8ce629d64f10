#include "pipeline/comm/launch_environment.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <initializer_list>

namespace shardquant::comm {

namespace {

// The first of the variables that holds a number greater than zero; 0 where none does.
std::int64_t first_count(const LaunchEnvironment::Lookup& lookup,
                         std::initializer_list<const char*> variables) {
  for (const char* variable : variables) {
    const char* text = lookup(variable);
    if (text == nullptr) continue;
    const char* end = text + std::strlen(text);
    std::int64_t count = 0;
    const auto [stop, error] = std::from_chars(text, end, count);
    if (error == std::errc() && stop == end && count > 0) return count;
  }
  return 0;
}

}  // namespace

LaunchEnvironment LaunchEnvironment::read(const Lookup& lookup) {
  LaunchEnvironment launch;
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    launch.mpi_launcher = launch.mpi_launcher || lookup(variable) != nullptr;
  }
  // mpirun inside a Slurm job starts as many ranks as it was told, whatever the job's task count.
  std::int64_t ranks = first_count(lookup, {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  if (ranks == 0) ranks = first_count(lookup, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
  if (ranks > 0) launch.ranks = ranks;
  launch.rank =
      first_count(lookup, {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"});
  launch.local_rank =
      first_count(lookup, {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"});
  return launch;
}

std::string LaunchEnvironment::complaint(std::int64_t found) const {
  if (found >= ranks) return {};  // more: a heterogeneous job, whose parts count for themselves
  return fmt::format(
      "{} tasks were started, but this process knows of {} rank{}: start them with `srun "
      "--mpi=pmix` or with the mpirun of the MPI this program was built with (to run one rank "
      "alone inside a Slurm job, set SLURM_NTASKS=1)",
      ranks, found, found == 1 ? "" : "s");
}

}  // namespace shardquant::comm
