// Memory of the stand-in's device: host memory between guard zones, filled with NaN on allocation.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cuda_runtime.h"
#include "standin_check.hpp"

namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr unsigned char kGuard = 0xa5;
constexpr int kPoison = 0xff;  // as floats, doubles and halves: NaN

// Under AddressSanitizer the guards trap when touched; without it they are checked on free.
struct Allocation {
  std::size_t bytes;
};

std::map<void*, Allocation>& allocations() {
  static std::map<void*, Allocation> all;
  return all;
}

std::size_t& used_bytes() {
  static std::size_t used = 0;
  return used;
}

std::size_t device_bytes() {
  const char* text = std::getenv("SHARDQUANT_STANDIN_BYTES");
  return text == nullptr ? std::size_t{4} << 30 : std::strtoull(text, nullptr, 10);
}

std::size_t rounded(std::size_t bytes) {
  return (bytes + kGuardBytes - 1) / kGuardBytes * kGuardBytes;
}

void check_guard(const unsigned char* guard, std::size_t bytes, const char* side) {
  for (std::size_t i = 0; i < bytes; ++i) {
    if (guard[i] != kGuard) cuda_standin::stop("device memory written %s an allocation", side);
  }
}

}  // namespace

const char* cudaGetErrorName(cudaError_t status) {
  return status == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaError";
}

const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorNoDevice ? "no device" : "error of the stand-in";
}

cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::snprintf(properties->name, sizeof properties->name, "stand-in on the host");
  properties->totalGlobalMem = device_bytes();
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int) {
  std::snprintf(text, static_cast<std::size_t>(size), "stand-in");
  return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
  const auto used = static_cast<std::uint64_t>(used_bytes());
  std::memcpy(value, &used, sizeof used);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = device_bytes();
  *free = *total - std::min(*total, used_bytes());
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** data, std::size_t bytes, cudaStream_t) {
  if (bytes == 0) return cudaErrorInvalidValue;
  if (used_bytes() + bytes > device_bytes()) return cudaErrorMemoryAllocation;
  const std::size_t whole = rounded(bytes) + 2 * kGuardBytes;
  auto* raw = static_cast<unsigned char*>(std::aligned_alloc(kGuardBytes, whole));
  if (raw == nullptr) return cudaErrorMemoryAllocation;
  std::memset(raw, kGuard, whole);
  unsigned char* user = raw + kGuardBytes;
  std::memset(user, kPoison, bytes);
  cuda_standin::forbid(raw, kGuardBytes);
  cuda_standin::forbid(user + bytes, whole - kGuardBytes - bytes);
  allocations()[user] = {bytes};
  used_bytes() += bytes;
  *data = user;
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
  const auto found = allocations().find(data);
  if (found == allocations().end()) cuda_standin::stop("freed what is not %s", "allocated");
  const std::size_t bytes = found->second.bytes;
  auto* user = static_cast<unsigned char*>(data);
  unsigned char* raw = user - kGuardBytes;
  const std::size_t behind = rounded(bytes) + kGuardBytes - bytes;
  cuda_standin::allow(raw, kGuardBytes);
  cuda_standin::allow(user + bytes, behind);
  check_guard(raw, kGuardBytes, "before");
  check_guard(user + bytes, behind, "behind");
  std::free(raw);
  used_bytes() -= bytes;
  allocations().erase(found);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  *data = std::malloc(bytes);
  return *data == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  if (bytes > 0) std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind, cudaStream_t) {
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
  for (std::size_t i = 0; i < height; ++i) {
    std::memcpy(static_cast<char*>(to) + i * to_pitch,
                static_cast<const char*>(from) + i * from_pitch, width);
  }
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t) {
  std::memset(data, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemset2DAsync(void* data, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t) {
  if (width > pitch) return cudaErrorInvalidValue;
  for (std::size_t i = 0; i < height; ++i) {
    std::memset(static_cast<char*>(data) + i * pitch, value, width);
  }
  return cudaSuccess;
}

// Work is done when it is queued, so streams and events have nothing to hold.

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t) {
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t) {
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t) {
  return cudaSuccess;
}
