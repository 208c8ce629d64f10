#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/api/matrix.hpp"

namespace shardquant::kernels {

/// One device and its memory. Matrices are fp32, row major, in this memory unless said otherwise.
/// The calls are synchronous as seen by the host. Not thread safe: one device per rank.
class Device {
 public:
  virtual ~Device() = default;

  /// "cpu (AVX-512, 2 threads)".
  virtual std::string description() const = 0;
  /// Tells the device from all others of this machine; empty for the host's processor.
  virtual std::string device_identity() const { return {}; }

  /// See NamedRange. Ranges may nest.
  virtual void begin_range(const std::string&) {}
  virtual void end_range() noexcept {}

  // Memory

  /// Uninitialized [rows, cols]. @throws DeviceOutOfMemory
  virtual Matrix allocate(std::int64_t rows, std::int64_t cols) = 0;
  virtual void fill_zero(MatrixView matrix) = 0;
  /// host: rows * cols floats, dense.
  virtual void upload(std::span<const float> host, MatrixView matrix) = 0;
  virtual void download(ConstMatrixView matrix, std::span<float> host) = 0;
};

}  // namespace shardquant::kernels
