#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "kernels/api/matrix.hpp"
#include "kernels/cuda/cuda_handles.hpp"
#include "kernels/cuda/device_memory.hpp"

namespace shardquant::kernels::cuda {

/// How many bf16 pieces stand for an fp32 number in products on the tensor cores: 3 hold all 24
/// bits of it, 1 is plain bf16.
constexpr int kPiecesOfFloat = 3;

/// A matrix as bf16 planes, see launch_split.
struct SplitMatrix {
  DeviceBuffer<std::uint16_t> planes;
  int pieces = 0;
  std::int64_t rows = 0;
  std::int64_t stride = 0;  ///< elements from one row to the next

  const std::uint16_t* plane(int piece) const { return planes.get() + piece * rows * stride; }
};

/// One device with what every verb needs: a stream on which all work is queued in order, library
/// handles, memory, and the weights loaded for products. Matrices share its ownership.
class DeviceContext : public std::enable_shared_from_this<DeviceContext> {
 public:
  /// pieces: see kPiecesOfFloat, of activations. memory_budget: bytes, 0 for all the device has.
  /// @throws DeviceError
  DeviceContext(int device, int pieces, std::int64_t memory_budget);

  int device() const { return device_; }
  int pieces() const { return pieces_; }
  const Stream& stream() const { return stream_; }
  cublasHandle_t blas() const { return blas_.get(); }
  const CusolverHandle& solver() const { return solver_; }
  DeviceMemory& memory() { return memory_; }

  /// Uninitialized [rows, cols] whose memory goes back when the last owner lets it go.
  Matrix allocate(std::int64_t rows, std::int64_t cols, std::int64_t stride);
  /// A weight for products, whose elements are sums of `pieces` bf16 numbers.
  Matrix allocate_weight(std::int64_t rows, std::int64_t cols, int pieces);

  /// Bytes from any host memory to the device through two pinned buffers: one is filled while the
  /// other is copied. Returns when `host` has been read; the copy itself may still be under way.
  void upload(std::span<const std::byte> host, void* to);
  /// Elements of host memory in device memory of their own.
  template <class T>
  DeviceBuffer<T> on_device(std::span<const T> host) {
    DeviceBuffer<T> buffer(memory_, static_cast<std::int64_t>(host.size()));
    upload(std::as_bytes(host), buffer.get());
    return buffer;
  }
  /// Elements from the device to any host memory; waits for the device.
  template <class T>
  void download(const T* from, std::span<T> host) {
    download_bytes(from, std::as_writable_bytes(host));
  }
  /// A tensor as it lies in its file, at an address that its element type can be read at.
  DeviceBuffer<std::byte> upload_stored(const HostTensor& tensor);

  /// x as planes of `pieces`.
  SplitMatrix split(ConstMatrixView x, int pieces);
  /// The planes of `weight`: kept from the first product on for a whole matrix of
  /// allocate_weight, made into `scratch` for anything else.
  const SplitMatrix& split_weight(ConstMatrixView weight, SplitMatrix& scratch);

 private:
  struct LoadedWeight {
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    int pieces = 0;
    SplitMatrix split;  // empty before the first product
  };
  struct StagingBuffer {
    PinnedBuffer memory;
    Event copied;
  };

  void download_bytes(const void* from, std::span<std::byte> host);

  int device_;
  int pieces_;
  Stream stream_;
  CublasHandle blas_;
  CusolverHandle solver_;
  DeviceMemory memory_;
  std::array<StagingBuffer, 2> staging_;
  std::size_t next_staging_ = 0;
  std::map<const float*, LoadedWeight> weights_;
};

}  // namespace shardquant::kernels::cuda
