#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "pipeline/comm/communicator.hpp"

namespace shardquant::commands {

/// What one rank can tell of itself before any work.
struct RankFacts {
  std::string host;
  std::string device;                 ///< what it computes with: kind, vector units, libraries
  std::string device_identity;        ///< of a device beside the processors; empty: it has none
  std::int64_t threads = 1;           ///< that it will compute with
  std::set<int> processors;           ///< of its host, that it may run on; empty: unknown
  std::int64_t memory_needed = 0;     ///< bytes at most
  std::int64_t memory_available = 0;  ///< bytes, to all ranks of its host together; 0: unknown

  bool operator==(const RankFacts&) const = default;
};

/// Host, processors and available memory of this process; the rest as by default.
RankFacts local_facts();

/// Every rank's facts on root, by rank; an empty list elsewhere. Collective.
/// @throws Failure(unavailable) on root where a rank sent something else
std::vector<RankFacts> gather_facts(comm::Communicator& comm, const RankFacts& mine);

/// Ends a job whose ranks are not one program called in one way: SharedFailure(unavailable) on all
/// ranks, with a text on root. Collective; comes before all that ranks agree on.
/// build: checkpoint::build_identity(); call: command, job file and options as text
void require_same_program(comm::Communicator& comm, const std::string& build,
                          const std::string& call);

}  // namespace shardquant::commands
