#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/commands/job.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::commands {

/// Jobs of one command whose inputs are opened, and of which nothing is created yet.
struct OpenedJobs {
  std::span<const Job> jobs;
  const model::SourceModel& model;
  const kernels::Backend& backend;
  std::int64_t memory_needed = 0;  ///< bytes of a rank at most, in any of them
};

/// Ends a command whose ranks are not one build started by one command line. Collective, before
/// anything else. command: its words, as "sweep run". @throws SharedFailure(unavailable)
void require_same_call(comm::Communicator& comm, const std::string& command,
                       const RunArguments& arguments);

/// The start-up check: writes a block to root's log, and ends the command where its ranks, devices,
/// memory or disk are not what the jobs together need (judge_start). Collective.
/// @throws SharedFailure: unavailable, unless arguments.start_anyway; io_error
void check_jobs(comm::Communicator& comm, const RunArguments& arguments, const OpenedJobs& opened,
                report::Log& log);

}  // namespace shardquant::commands
