#pragma once

#include <cstddef>

namespace cuda_standin {

/// A stack of its own on which a function runs until it yields; at most one runs at a time. Known
/// to AddressSanitizer.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Prepares body(context) to run from its beginning. @pre done(), or never started
  void start(void (*body)(void*), void* context);
  /// Runs until the body yields or ends.
  void resume();
  bool done() const { return done_; }

  /// Called by a body: back to resume().
  static void yield();

 private:
  static void enter();
  static void leave_to_caller(void** fake_stack);

  std::byte* stack_ = nullptr;
  void* stack_pointer_ = nullptr;
  void* fake_stack_ = nullptr;
  void (*body_)(void*) = nullptr;
  void* context_ = nullptr;
  bool done_ = true;
};

}  // namespace cuda_standin
