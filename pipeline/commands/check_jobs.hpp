#pragma once

#include <cstdint>

#include "kernels/api/backend.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/stages/source_model.hpp"

namespace shardquant::commands {

/// A job whose inputs are opened, and of which nothing is created yet.
struct OpenedJob {
  const config::RunConfig& config;
  const stages::SourceModel& model;
  const kernels::Backend& backend;
  std::int64_t memory_needed = 0;  ///< bytes of a rank at most
};

/// Ends a job whose ranks are not one build started by one command line. Collective, before
/// anything else. @throws SharedFailure(unavailable)
void require_same_call(comm::Communicator& comm, const RunArguments& arguments);

/// The start-up check: writes a block to root's log, and ends the job where its ranks, devices,
/// memory or disk are not what it needs (judge_start). Collective.
/// @throws SharedFailure: unavailable, unless arguments.start_anyway; io_error
void check_job(comm::Communicator& comm, const RunArguments& arguments, const OpenedJob& job,
               report::Log& log);

}  // namespace shardquant::commands
