#pragma once

#include <memory>
#include <string>

#include "kernels/api/backend.hpp"
#include "kernels/make_backend.hpp"
#include "pipeline/comm/communicator.hpp"

namespace shardquant::commands {

/// The back end of this rank; the ranks of a machine take its devices in turn. reason: one line,
/// why this back end. Collective. @throws Failure(unavailable)
std::unique_ptr<kernels::Backend> open_backend(comm::Communicator& comm, kernels::DeviceKind kind,
                                               std::int64_t threads, std::string& reason);

}  // namespace shardquant::commands
