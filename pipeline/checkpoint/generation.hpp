#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace shardquant::checkpoint {

/// One generation of a state that changes, such as the hidden states at a block: its files lie in a
/// folder of their own, and a manifest written last lists them with sizes and seals. A folder
/// without a manifest does not exist for a reader. Two generations are kept.
struct Generation {
  std::int64_t number = 0;
  std::int64_t block = 0;                    ///< that comes next
  int ranks = 0;                             ///< that wrote it; for the curious
  std::map<std::string, std::string> files;  ///< name in the folder -> "BYTES SEAL"
};

/// FOLDER/000012
std::filesystem::path generation_folder(const std::filesystem::path& folder, std::int64_t number);

/// "BYTES SEAL" of a state file: what the manifest says of it. Not the whole file is read: whether
/// it fits its seal is for StateFileReader to find out.
/// @throws Failure: no_input, no_permission, io_error, bad_data
std::string state_file_identity(const std::filesystem::path& path);

/// Numbers of the committed generations, the newest first. Folders of others are not looked at.
std::vector<std::int64_t> committed_generations(const std::filesystem::path& folder);

/// A number above all in the folder, committed or not, and the folder for it, created.
/// @throws Failure: cannot_create, no_permission, io_error
std::int64_t begin_generation(const std::filesystem::path& folder);

/// Writes the manifest of a generation whose files are durable, then deletes all generations but
/// this one and the one before. run: fingerprint of the run. @throws as write_durably
void commit_generation(const std::filesystem::path& folder, const std::string& run,
                       const Generation& generation);

/// The manifest of a generation; empty where it is damaged, of another run, or not there.
std::optional<Generation> load_generation(const std::filesystem::path& folder,
                                          const std::string& run, std::int64_t number);

/// Deletes what was written of generations that were never committed; returns what was deleted.
std::vector<std::filesystem::path> remove_uncommitted_generations(
    const std::filesystem::path& folder);

}  // namespace shardquant::checkpoint
