#include "pipeline/commands/build_facts.hpp"

#include <fmt/format.h>

#include "kernels/make_backend.hpp"
#include "pipeline/checkpoint/hdf5_library.hpp"
#include "pipeline/comm/session.hpp"

namespace shardquant::commands {

std::string version_text() {
  return fmt::format(
      "shardquant {} (commit {})\n"
      "MPI   {}\n"
      "BLAS  {}\n"
      "HDF5  {}\n"
      "CUDA  {}",
      SHARDQUANT_VERSION, build_commit(), comm::mpi_library(), kernels::blas_library(),
      checkpoint::hdf5_library(), kernels::cuda_module());
}

}  // namespace shardquant::commands
