#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shardquant::config {

/// What a machine can do, for predictions: one of configs/machines/*.yaml, or a file like them.
struct MachineProfile {
  std::string name;   ///< of the file, without .yaml
  std::string about;  ///< one line
  std::int64_t ranks_per_node = 1;
  std::int64_t cores_per_node = 1;
  double host_gib = 0.0;      ///< of a node
  double device_gib = 0.0;    ///< of a rank's device; 0: it computes in host memory
  bool per_thread = false;    ///< the rates are those of one host thread, else of a rank
  double forward_gflops = 0;  ///< 1e9 operations per second of what waves::WorkAmount counts
  double hessian_gflops = 0;
  double factor_gflops = 0;
  double update_gflops = 0;
  double search_gsteps = 0;
  double sweep_gweights = 0;
  double read_gb_s = 0;  ///< 1e9 bytes per second of one rank
  double write_gb_s = 0;
  double network_gb_s = 0;
};

/// Parses a profile: every key must be there, no other may. name: for messages.
/// @throws Failure(config) with `name:line:column: key: reason`
MachineProfile parse_machine_profile(const std::string& text, const std::string& name);

/// A profile that is built in (configs/machines), or one in a file where `name_or_file` ends in
/// .yaml. @throws Failure(config) naming the known ones; Failure(no_input) for a missing file
MachineProfile find_machine_profile(const std::string& name_or_file);

/// Names of those built in, sorted.
std::vector<std::string> machine_profile_names();

namespace detail {

/// A file of configs/machines, put into the program when it was built.
struct BuiltInProfile {
  const char* name;
  const char* text;
};
std::vector<BuiltInProfile> built_in_profiles();

}  // namespace detail

}  // namespace shardquant::config
