#pragma once

#include <memory>
#include <string>

#include "pipeline/comm/communicator.hpp"

namespace shardquant::comm {

/// The ranks this process belongs to: MPI's where a launcher started it (mpirun, srun with PMIx),
/// else itself alone, without touching MPI.
class Session {
 public:
  /// @throws Failure(unavailable) when MPI cannot start, or when more tasks were started than know
  /// of each other (srun without --mpi=pmix, or the mpirun of another MPI)
  Session();
  /// Leaves MPI alone: finalizing while other ranks work on would hang or hide the fault. See
  /// finish.
  ~Session() = default;

  Communicator& comm() { return *comm_; }

  /// Ends MPI in an orderly way; all ranks call it, as the last thing. @throws Failure(unavailable)
  void finish();

 private:
  bool uses_mpi_ = false;
  std::unique_ptr<Communicator> comm_;
};

/// The MPI library of this process, as "Open MPI v4.1.4"; before or after it is started.
std::string mpi_library();

}  // namespace shardquant::comm
