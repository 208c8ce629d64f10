#pragma once

#include <string>

namespace shardquant::commands {

/// The commit the program was built from, "-dirty" after it where files were changed; "unknown"
/// where the source had no history.
const char* build_commit();

/// What `--version` prints: version and commit, then the libraries of this process (MPI, BLAS,
/// HDF5) and the CUDA module, a line each. Starts neither MPI nor a device.
std::string version_text();

}  // namespace shardquant::commands
