#pragma once

#include <functional>

#include "pipeline/comm/communicator.hpp"

namespace shardquant::commands {

/// What a command line asks for.
struct Call {
  std::function<void(comm::Communicator&)> action;  ///< empty: nothing is left to do
  /// Whether all ranks take part. Of other commands one process does all, wherever it was started:
  /// there they neither need nor touch MPI.
  bool on_all_ranks = false;
  int exit_code = 0;  ///< where nothing is left to do
};

/// Reads the command line; see `shardquant --help`, which is printed here. What is wrong in it is
/// told on standard error where `tells`, to be true for one of several ranks.
/// @throws Failure(unavailable), where the MPI library cannot tell its version for --version
Call parse_command_line(int argc, char** argv, bool tells);

}  // namespace shardquant::commands
