#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/cuda/cuda_handles.hpp"

namespace shardquant::kernels::cuda {

/// Stream-ordered memory of one device under a budget: what is freed is given to the next
/// allocation on the same stream without waiting. Must outlive everything allocated from it.
class DeviceMemory {
 public:
  /// budget_bytes: most that may be held at a time; 0: all the device has.
  DeviceMemory(int device, const Stream& stream, std::int64_t budget_bytes);

  /// 256-byte aligned, uninitialized. @throws DeviceOutOfMemory naming bytes wanted and free
  void* allocate(std::int64_t bytes);
  void free(void* data, std::int64_t bytes) noexcept;

  /// Bytes that allocations can still get, apart from fragmentation.
  std::int64_t free_bytes() const;
  std::int64_t held_bytes() const { return held_; }

 private:
  cudaMemPool_t pool_ = nullptr;
  const Stream& stream_;
  std::int64_t budget_ = 0;
  std::int64_t held_ = 0;
};

/// Uninitialized elements on the device; move only.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// @throws DeviceOutOfMemory
  DeviceBuffer(DeviceMemory& memory, std::int64_t count)
      : memory_(&memory), data_(static_cast<T*>(memory.allocate(bytes_of(count)))), count_(count) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    DeviceBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() {
    if (data_ != nullptr) memory_->free(data_, bytes_of(count_));
  }

  T* get() const { return data_; }
  std::int64_t count() const { return count_; }

 private:
  static std::int64_t bytes_of(std::int64_t count) {
    return count * static_cast<std::int64_t>(sizeof(T));
  }
  void swap(DeviceBuffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  DeviceMemory* memory_ = nullptr;
  T* data_ = nullptr;
  std::int64_t count_ = 0;
};

/// Page-locked host memory, which copies to and from the device without a detour.
class PinnedBuffer {
 public:
  /// @throws DeviceError
  explicit PinnedBuffer(std::int64_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  std::byte* get() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace shardquant::kernels::cuda
