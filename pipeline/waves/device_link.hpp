#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "kernels/api/backend.hpp"
#include "kernels/api/device_transport.hpp"
#include "pipeline/comm/communicator.hpp"

namespace shardquant::waves {

/// Moves matrices from device to device and never hangs: every transfer has a deadline, errors of
/// the transport are looked for all the while, and either ends in abort and a Failure that names
/// this rank, the peer and what was being moved.
class DeviceLink {
 public:
  /// Waits until the ranks are connected. timeout: of that and of each transfer.
  /// @throws Failure(unavailable)
  DeviceLink(std::unique_ptr<kernels::DeviceTransport> transport, int rank,
             std::chrono::milliseconds timeout);

  /// Until the peer has the matrix. what: for the error's text, "Hessian of model.layers.3.o_in".
  /// @throws Failure(unavailable); after it the link cannot be used
  void send(kernels::ConstMatrixView matrix, int peer, const std::string& what);
  void receive(kernels::MatrixView matrix, int peer, const std::string& what);

 private:
  void finish(const std::string& doing);

  std::unique_ptr<kernels::DeviceTransport> transport_;
  int rank_;
  std::chrono::milliseconds timeout_;
};

/// The link between the devices of all ranks; null where they go through host memory instead, and
/// `reason` says why, the same on all ranks: one rank, the CPU back end, no NCCL in the build, or
/// two ranks on one device, which NCCL refuses. Collective. @throws Failure(unavailable)
std::unique_ptr<DeviceLink> open_device_link(comm::Communicator& comm, kernels::Backend& backend,
                                             std::string& reason);

}  // namespace shardquant::waves
