#include "fiber.hpp"

#include <sys/mman.h>

#include <cstdint>

#include "standin_check.hpp"

#if defined(CUDA_STANDIN_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

// Saves the registers that calls preserve on this stack, goes on on the other one. ucontext would
// make two system calls of this, and a kernel has as many of them as threads times barriers.
extern "C" void cuda_standin_switch(void** save, void* load);

#if !defined(__x86_64__)
#error "the CUDA stand-in switches stacks on x86-64 only"
#endif
asm(R"(
.text
.globl cuda_standin_switch
.type cuda_standin_switch, @function
cuda_standin_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_standin_switch, .-cuda_standin_switch
)");

namespace cuda_standin {

namespace {

constexpr std::size_t kStackBytes = 128 * 1024;

Fiber* running = nullptr;
void* caller_stack_pointer = nullptr;
const void* caller_stack = nullptr;
std::size_t caller_stack_bytes = 0;

void before_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* stack,
                   [[maybe_unused]] std::size_t bytes) {
#if defined(CUDA_STANDIN_ASAN)
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
#endif
}

void after_switch([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** former_stack,
                  [[maybe_unused]] std::size_t* former_bytes) {
#if defined(CUDA_STANDIN_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, former_stack, former_bytes);
#endif
}

}  // namespace

Fiber::Fiber() {
  void* memory =
      mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) stop("no memory for a %s", "stack");
  stack_ = static_cast<std::byte*>(memory);
}

Fiber::~Fiber() {
  munmap(stack_, kStackBytes);
}

void Fiber::start(void (*body)(void*), void* context) {
  body_ = body;
  context_ = context;
  done_ = false;
  fake_stack_ = nullptr;
  // As cuda_standin_switch leaves a stack: six registers, then where to return to; above it the
  // place of a return address that enter() never uses, so that its frame is aligned as after a
  // call.
  auto* top = reinterpret_cast<std::uint64_t*>(stack_ + kStackBytes);
  top[-1] = 0;
  top[-2] = reinterpret_cast<std::uint64_t>(&Fiber::enter);
  for (int i = 3; i <= 8; ++i) top[-i] = 0;
  stack_pointer_ = top - 8;
}

void Fiber::resume() {
  running = this;
  void* fake_stack = nullptr;
  before_switch(&fake_stack, stack_, kStackBytes);
  cuda_standin_switch(&caller_stack_pointer, stack_pointer_);
  after_switch(fake_stack, nullptr, nullptr);
  running = nullptr;
}

void Fiber::enter() {
  after_switch(nullptr, &caller_stack, &caller_stack_bytes);
  Fiber& self = *running;
  self.body_(self.context_);
  self.done_ = true;
  leave_to_caller(nullptr);  // null: AddressSanitizer lets go of this stack's shadow
}

void Fiber::yield() {
  leave_to_caller(&running->fake_stack_);
}

void Fiber::leave_to_caller(void** fake_stack) {
  Fiber& self = *running;
  before_switch(fake_stack, caller_stack, caller_stack_bytes);
  cuda_standin_switch(&self.stack_pointer_, caller_stack_pointer);
  after_switch(self.fake_stack_, &caller_stack, &caller_stack_bytes);
}

}  // namespace cuda_standin
