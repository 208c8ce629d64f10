#include "kernels/cuda/device_memory.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/cuda_check.hpp"

namespace shardquant::kernels::cuda {

namespace {

std::int64_t signed_bytes(std::size_t bytes) {
  return static_cast<std::int64_t>(bytes);
}

}  // namespace

DeviceMemory::DeviceMemory(int device, const Stream& stream, std::int64_t budget_bytes)
    : stream_(stream), budget_(budget_bytes) {
  SHARDQUANT_CUDA_TRY(cudaDeviceGetDefaultMemPool(&pool_, device));
  // Keep what is freed: giving it back to the driver at every synchronization costs milliseconds.
  std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
  SHARDQUANT_CUDA_TRY(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep));
}

void* DeviceMemory::allocate(std::int64_t bytes) {
  const std::int64_t wanted = std::max<std::int64_t>(bytes, 1);
  void* data = nullptr;
  cudaError_t status = cudaErrorMemoryAllocation;
  if (budget_ == 0 || held_ + wanted <= budget_) {
    status = cudaMallocAsync(&data, static_cast<std::size_t>(wanted), stream_.get());
    if (status == cudaErrorMemoryAllocation) cudaGetLastError();  // it is reported here, once
  }
  if (status == cudaErrorMemoryAllocation) {
    throw DeviceOutOfMemory("device memory: " + std::to_string(wanted) + " bytes wanted, " +
                            std::to_string(free_bytes()) + " free, " + std::to_string(held_) +
                            " held by this rank");
  }
  SHARDQUANT_CUDA_TRY(status);
  held_ += wanted;
  return data;
}

void DeviceMemory::free(void* data, std::int64_t bytes) noexcept {
  SHARDQUANT_CUDA_LOG(cudaFreeAsync(data, stream_.get()));
  held_ -= std::max<std::int64_t>(bytes, 1);
}

std::int64_t DeviceMemory::free_bytes() const {
  std::size_t free = 0;
  std::size_t total = 0;
  SHARDQUANT_CUDA_TRY(cudaMemGetInfo(&free, &total));
  // What the pool holds without using it is free to us, though not to cudaMemGetInfo.
  std::uint64_t reserved = 0;
  std::uint64_t used = 0;
  SHARDQUANT_CUDA_TRY(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved));
  SHARDQUANT_CUDA_TRY(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &used));
  const std::int64_t available = signed_bytes(free) + signed_bytes(reserved - used);
  return budget_ == 0 ? available : std::min(available, budget_ - held_);
}

PinnedBuffer::PinnedBuffer(std::int64_t bytes) : bytes_(bytes) {
  void* data = nullptr;
  SHARDQUANT_CUDA_TRY(cudaMallocHost(&data, static_cast<std::size_t>(bytes)));
  data_ = static_cast<std::byte*>(data);
}

PinnedBuffer::~PinnedBuffer() {
  SHARDQUANT_CUDA_LOG(cudaFreeHost(data_));
}

}  // namespace shardquant::kernels::cuda
