// Replaces operator new and delete; a source of its own, so that no call of them is inlined.

#include "tests/unit/formats/count_allocations.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::int64_t> live_bytes{0};
std::atomic<std::int64_t> peak_bytes{0};

}  // namespace

void* operator new(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  const auto usable = static_cast<std::int64_t>(malloc_usable_size(memory));
  const std::int64_t now = live_bytes += usable;
  if (now > peak_bytes) peak_bytes = now;
  return memory;
}

void operator delete(void* memory) noexcept {
  if (memory != nullptr) live_bytes -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

namespace shardquant::tests {

void start_counting_allocations() {
  live_bytes = 0;
  peak_bytes = 0;
}

std::int64_t peak_allocated_bytes() {
  return peak_bytes;
}

}  // namespace shardquant::tests
