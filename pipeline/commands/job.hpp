#pragma once

#include <functional>
#include <vector>

#include "pipeline/comm/communicator.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/config/sweep.hpp"
#include "pipeline/formats/weights/weight_format.hpp"

namespace shardquant::commands {

/// A job that is to be run, and how far.
struct Job {
  config::RunConfig config;
  LastStage last = LastStage::quantize;
};

/// The jobs that root reads, on all ranks, so that an error in them is found and printed once.
/// Collective. @throws SharedFailure, as `read`; cannot_create where a folder to write to is a file
std::vector<Job> agree_on_jobs(comm::Communicator& comm,
                               const std::function<std::vector<Job>()>& read);

/// The format that the job's output is to have.
const weights::WeightFormat& format_of(const config::RunConfig& job);

/// Makes the folders that the work folders of a sweep's jobs lie in. The sweep's own is made where
/// its parent is there. @throws Failure: cannot_create, no_permission, io_error
void make_sweep_folders(const config::Sweep& sweep);

}  // namespace shardquant::commands
