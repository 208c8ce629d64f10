#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/comm/communicator.hpp"

namespace shardquant::commands {

/// What `shardquant solve` is asked for.
struct SolveArguments {
  std::string measurement;

  double bpw = 0.0;  ///< these four: exactly one is given, the others keep their defaults
  std::string size;  ///< "24GiB", of the whole output folder
  std::int64_t bits = 0;
  std::string frontier;  ///< "2.2:6.0:0.1"

  std::string objective;  ///< empty: `kl` where the measurement has sensitivities, else `sum`
  double tolerance = 0.0;
  std::vector<std::string> pins, floors, ceilings, ties, ties_across_blocks;
  std::string weights;  ///< JSON file

  std::string model;             ///< source folder, for sizes on disk
  bool follow_symlinks = false;  ///< of `model`
  int head_bits = 6;
  std::string format = "exl2";
  std::int64_t shard_mib = 8192;

  std::string out;              ///< plan.json, or the frontier as JSON, with the CSV beside it
  std::string measurement_out;  ///< the measurement with the choices filled in
  bool print = false;
  bool force = false;
};

/// Allocates bits from a measurement file and prints the result. @throws Failure
void solve(const SolveArguments& arguments);

/// Adds the subcommand `solve`; where the command line calls for it, `action` is set to what is to
/// be done, on one rank.
void add_solve_command(CLI::App& app, std::function<void(comm::Communicator&)>& action);

}  // namespace shardquant::commands
