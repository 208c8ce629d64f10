#pragma once

#include <mpi.h>

#include <array>

#include "pipeline/failure.hpp"

namespace shardquant::comm {

/// Throws Failure(unavailable) with the text of the call and of MPI's error, unless `status` is
/// success.
inline void check_mpi(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  fail(ExitCode::unavailable, "{} failed: {}", call, text.data());
}

}  // namespace shardquant::comm

#define SHARDQUANT_MPI_TRY(call) ::shardquant::comm::check_mpi((call), #call)
