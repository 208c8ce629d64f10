#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/commands/rank_facts.hpp"

namespace shardquant::commands {

/// Room that a job wants in a folder, and what there is.
struct DiskNeed {
  std::string setting;  ///< that names the folder: "work.dir"
  std::filesystem::path folder;
  std::int64_t bytes = 0;         ///< beyond what lies there already
  std::int64_t free = 0;          ///< bytes that this user may write there
  std::uint64_t file_system = 0;  ///< folders with the same number share what is free
};

/// A DiskNeed with what the file system says that the folder is on, or will be on.
/// @throws Failure(io_error)
DiskNeed disk_need(std::string setting, const std::filesystem::path& folder, std::int64_t bytes);

/// A job before its start.
struct StartFacts {
  std::vector<RankFacts> ranks;  ///< by rank
  std::int64_t launched = 1;     ///< comm::LaunchEnvironment::ranks
  std::vector<DiskNeed> disks;
};

/// What is to be said of it.
struct StartReport {
  std::vector<std::string> lines;       ///< one line of each kind or more: launch, devices, ...
  std::vector<std::string> complaints;  ///< why it must not start, each with its remedy
  std::vector<std::string> shortages;   ///< of memory or disk, against needs that are upper bounds
};

/// The job's ranks, devices, memory and disk against what it needs. Pure.
StartReport judge_start(const StartFacts& facts);

}  // namespace shardquant::commands
