#pragma once

#include <hdf5.h>

#include <string>

#include "pipeline/checkpoint/hdf5_handle.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::checkpoint {

/// Makes the library fit for use: no closing of files at exit (it crashes after a full disk), no
/// printing of errors by the library in the calling thread. Cheap; called before every HDF5 call by
/// the macro below.
void prepare_hdf5();

/// The HDF5 error stack of the calling thread as one line, innermost cause first.
std::string hdf5_error_text();

/// Throws Failure(code) "FILE: CALL failed: stack" when `result` is negative, as HDF5 tells errors.
template <class Result>
Result check_hdf5(Result result, ExitCode code, const std::string& file, const char* call) {
  if (result < 0) fail(code, "{}: {} failed: {}", file, call, hdf5_error_text());
  return result;
}

}  // namespace shardquant::checkpoint

/// The value of an HDF5 call; throws Failure(code) naming `file` when the call fails.
#define SHARDQUANT_HDF5_TRY(code, file, call) \
  (::shardquant::checkpoint::prepare_hdf5(),  \
   ::shardquant::checkpoint::check_hdf5((call), (code), (file), #call))
