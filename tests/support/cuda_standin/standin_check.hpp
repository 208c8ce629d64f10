#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define CUDA_STANDIN_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUDA_STANDIN_ASAN
#endif
#endif

#if defined(CUDA_STANDIN_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_standin {

/// A fault of the code under test: says so and aborts, because a kernel cannot throw.
template <class... Arguments>
[[noreturn]] void stop(const char* format, Arguments... arguments) {
  std::fprintf(stderr, "CUDA stand-in: ");
  std::fprintf(stderr, format, arguments...);
  std::fprintf(stderr, "\n");
  std::abort();
}

/// Makes AddressSanitizer trap on the bytes, where it is built in.
inline void forbid([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(CUDA_STANDIN_ASAN)
  __asan_poison_memory_region(data, bytes);
#endif
}

inline void allow([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(CUDA_STANDIN_ASAN)
  __asan_unpoison_memory_region(data, bytes);
#endif
}

}  // namespace cuda_standin
