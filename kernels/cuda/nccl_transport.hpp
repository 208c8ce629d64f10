#pragma once

#include <memory>
#include <string>

#include "kernels/api/device_transport.hpp"
#include "kernels/cuda/device_context.hpp"

namespace shardquant::kernels::cuda {

/// A new id; false where NCCL is not part of this build or gives none, and `reason` says why.
/// @pre a device is usable: NCCL opens a socket here even without one
bool make_transport_id(TransportId& id, std::string& reason);

/// Begins to connect this rank with the others of `id`; DeviceTransport::poll says when that is
/// done. @throws DeviceError
std::unique_ptr<DeviceTransport> make_transport(std::shared_ptr<DeviceContext> context, int rank,
                                                int size, const TransportId& id);

}  // namespace shardquant::kernels::cuda
