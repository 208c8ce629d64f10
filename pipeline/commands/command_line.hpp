#pragma once

#include "pipeline/comm/communicator.hpp"

namespace shardquant::commands {

/// Parses the command line and runs its command on all ranks; see `shardquant --help`. Usage errors
/// are printed by root alone. Returns the exit code. @throws Failure as the commands
int run_command_line(comm::Communicator& comm, int argc, char** argv);

}  // namespace shardquant::commands
