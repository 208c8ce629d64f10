#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace shardquant::checkpoint {

/// What a state file holds, whatever its kind and run.
struct StateFileSummary {
  struct Attribute {
    std::string name;
    std::string value;
  };
  struct Dataset {
    std::string name;
    std::string type;  ///< "float32", "int64", ...
    std::int64_t count = 0;
  };

  std::string kind;
  std::string fingerprint;            ///< of the run
  std::vector<Attribute> attributes;  ///< sorted by name, without those above
  std::vector<Dataset> datasets;      ///< sorted by name
};

/// Reads all of a state file: its seal and the hash of every dataset are checked.
/// @throws Failure: no_input, no_permission, io_error; bad_data where it is damaged or none
StateFileSummary summarize_state_file(const std::filesystem::path& path);

}  // namespace shardquant::checkpoint
