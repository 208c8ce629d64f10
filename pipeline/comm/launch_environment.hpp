#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace shardquant::comm {

/// How this process was started, as far as its environment tells.
struct LaunchEnvironment {
  /// Looks up an environment variable; null where it is not set.
  using Lookup = std::function<const char*(const char*)>;

  /// Reads the variables of Open MPI's mpirun, PMIx, PMI (1, 2) and Slurm. Values that are no
  /// counts are ignored.
  static LaunchEnvironment read(const Lookup& lookup);

  bool mpi_launcher = false;  ///< a launcher offers to connect the ranks
  /// Ranks that the launcher started, or tasks of the Slurm step or job; 1 where nobody says.
  std::int64_t ranks = 1;
  /// Place of this rank among all; 0 where nobody says.
  std::int64_t rank = 0;
  /// Place of this rank among those of its machine; 0 where nobody says.
  std::int64_t local_rank = 0;

  /// Why a process that was started like this and finds itself one of `found` ranks must not go
  /// on; empty where it may. Without it, N tasks that do not know of each other would do the whole
  /// job N times into the same folder.
  std::string complaint(std::int64_t found) const;
};

}  // namespace shardquant::comm
