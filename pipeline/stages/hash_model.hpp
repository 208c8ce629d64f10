#pragma once

#include <string>
#include <vector>

#include "pipeline/comm/communicator.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::stages {

/// A hash of the contents of every file of the model, in the folder's order, on root; an empty list
/// elsewhere. The files are read whole, in pieces dealt out to the ranks; the result does not
/// depend on their number. Where it takes long, `log` says how far it is. Collective.
/// @throws SharedFailure: io_error, bad_data
std::vector<std::string> hash_model(comm::Communicator& comm, report::Log& log,
                                    const formats::SafetensorsFolder& folder);

}  // namespace shardquant::stages
