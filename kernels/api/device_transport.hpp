#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "kernels/api/matrix.hpp"

namespace shardquant::kernels {

/// What ranks need to find each other; made by one, given to all.
using TransportId = std::array<std::byte, 128>;

/// Moves matrices between the devices of the ranks of a job, one at a time and without blocking: a
/// call starts something, poll() says how it stands. Whoever holds it keeps the deadline and calls
/// abort(), because a lost peer may never be reported.
class DeviceTransport {
 public:
  enum class State { working, done, failed };

  /// Gives up what is under way instead of waiting for it.
  virtual ~DeviceTransport() = default;

  /// Where the last start, or the connecting before the first one, stands. failed: `error` says
  /// why, and only abort() and the destructor may follow.
  virtual State poll(std::string& error) = 0;
  /// matrix: dense, in the back end's memory, unchanged until done. @pre nothing is under way
  virtual void start_send(ConstMatrixView matrix, int peer) = 0;
  /// matrix: dense, in the back end's memory. @pre nothing is under way
  virtual void start_receive(MatrixView matrix, int peer) = 0;
  /// Ends what is under way at once; the transport cannot be used after it.
  virtual void abort() noexcept = 0;
};

}  // namespace shardquant::kernels
