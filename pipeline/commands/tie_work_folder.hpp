#pragma once

#include <functional>
#include <string>

#include "pipeline/checkpoint/run_fingerprint.hpp"
#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/comm/communicator.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/config/run_config.hpp"

namespace shardquant::commands {

/// The work folder that a job names, with those it borrows from.
checkpoint::WorkFolder work_folder_of(const config::RunConfig& config);

/// Hashes that a run's state files carry.
struct Fingerprints {
  std::string run;       ///< of all that the results depend on
  std::string hessians;  ///< of what Hessians and perplexity depend on
};

/// Ties the work folder, whose lock is held, to this run: its state, and what it borrows, must be
/// of the same fingerprint. Clears away what an interrupted run left half written, and stores the
/// job as it was `asked` for. fingerprint: called on root. Collective.
/// resume: auto, never, require.
/// @throws SharedFailure: bad_data naming the fields that differ; no_input, cannot_create by
/// `resume`
Fingerprints tie_work_folder(comm::Communicator& comm, const checkpoint::WorkFolder& work,
                             const config::RunConfig& asked, const RunArguments& arguments,
                             const std::string& resume,
                             const std::function<checkpoint::RunFingerprint()>& fingerprint);

}  // namespace shardquant::commands
