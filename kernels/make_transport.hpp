#pragma once

#include <memory>
#include <string>

#include "kernels/api/backend.hpp"
#include "kernels/api/device_transport.hpp"

namespace shardquant::kernels {

/// Whether the ranks' CUDA back ends can be connected device to device: makes the id for it. If
/// not, `reason` says why. @pre this rank has a CUDA back end of make_backend
bool make_transport_id(TransportId& id, std::string& reason);

/// Begins to connect `backend` with those of the other ranks. @throws DeviceError
std::unique_ptr<DeviceTransport> make_transport(Backend& backend, int rank, int size,
                                                const TransportId& id);

}  // namespace shardquant::kernels
