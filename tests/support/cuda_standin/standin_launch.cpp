// Runs the grid of a launch: blocks one after another in a shuffled order, every thread of a block
// as a fiber, these too in an order that is shuffled anew for every block.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cuda_runtime.h"
#include "fiber.hpp"
#include "standin_check.hpp"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

constexpr std::size_t kMostSharedBytes = 227 * 1024;  // of an H100; an A100 has 163 KiB
alignas(16) unsigned char shardquant_shared_memory[kMostSharedBytes];

namespace cuda_standin {

namespace {

constexpr std::size_t kMostThreads = 1024;
constexpr std::size_t kWarp = 32;

enum class Wait { nothing, block, warp };

struct Thread {
  Fiber fiber;
  Wait wait = Wait::nothing;
  std::uint64_t generation = 0;  // of the warp's exchange that it waits for
};

// Values that lanes exchange. Two buffers: a lane can be at most one exchange ahead of another.
struct Warp {
  std::size_t lanes = 0;
  std::size_t arrived = 0;
  std::uint64_t generation = 0;
  std::array<std::array<std::uint64_t, kWarp>, 2> values{};
};

std::uint64_t seed() {
  const char* text = std::getenv("SHARDQUANT_STANDIN_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

std::size_t in_all(const dim3& size) {
  return std::size_t{size.x} * size.y * size.z;
}

uint3 place(std::size_t index, const dim3& size) {
  return {static_cast<unsigned>(index % size.x), static_cast<unsigned>(index / size.x % size.y),
          static_cast<unsigned>(index / size.x / size.y)};
}

class Block {
 public:
  Block() : random_(seed()) {}

  std::vector<std::size_t> shuffled(std::size_t count) {
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random_);
    return order;
  }

  void run(const cudaLaunchConfig_t& config, void (*body)(void*), void* context) {
    const std::size_t count = in_all(config.blockDim);
    while (threads_.size() < count) threads_.push_back(std::make_unique<Thread>());
    warps_.assign((count + kWarp - 1) / kWarp, {});
    for (std::size_t i = 0; i < count; ++i) {
      threads_[i]->fiber.start(body, context);
      threads_[i]->wait = Wait::nothing;
      ++warps_[i / kWarp].lanes;
    }
    allow(shardquant_shared_memory, kMostSharedBytes);
    std::memset(shardquant_shared_memory, 0xff, config.dynamicSmemBytes);
    forbid(shardquant_shared_memory + config.dynamicSmemBytes,
           kMostSharedBytes - config.dynamicSmemBytes);
    const std::vector<std::size_t> order = shuffled(count);
    while (run_once(order)) {
    }
  }

  void barrier() {
    threads_[current_]->wait = Wait::block;
    Fiber::yield();
  }

  std::uint64_t exchange(std::uint64_t bits, int mask) {
    const std::size_t self = current_;
    Warp& warp = warps_[self / kWarp];
    const std::uint64_t generation = warp.generation;
    auto& values = warp.values[generation % 2];
    values[self % kWarp] = bits;
    if (++warp.arrived == warp.lanes) {
      warp.arrived = 0;
      ++warp.generation;
    } else {
      threads_[self]->wait = Wait::warp;
      threads_[self]->generation = generation;
      Fiber::yield();
    }
    const std::size_t other = (self % kWarp) ^ static_cast<std::size_t>(mask);
    if (other >= warp.lanes) stop("shuffle with lane %zu of a warp of %zu", other, warp.lanes);
    return values[other];
  }

 private:
  bool can_run(const Thread& thread, std::size_t index) const {
    if (thread.fiber.done() || thread.wait == Wait::block) return false;
    return thread.wait == Wait::nothing || warps_[index / kWarp].generation != thread.generation;
  }

  // Every thread that can go on, once. Returns whether the block has more to do.
  bool run_once(const std::vector<std::size_t>& order) {
    bool ran = false;
    for (const std::size_t index : order) {
      Thread& thread = *threads_[index];
      if (!can_run(thread, index)) continue;
      thread.wait = Wait::nothing;
      current_ = index;
      threadIdx = place(index, blockDim);
      thread.fiber.resume();
      ran = true;
    }
    if (ran) return true;
    std::size_t done = 0;
    std::size_t at_barrier = 0;
    for (const std::size_t index : order) {
      if (threads_[index]->fiber.done()) ++done;
      if (!threads_[index]->fiber.done() && threads_[index]->wait == Wait::block) ++at_barrier;
    }
    if (done == order.size()) return false;
    if (at_barrier != order.size()) {
      stop("of %zu threads %zu wait at a barrier, %zu in a shuffle, %zu are done", order.size(),
           at_barrier, order.size() - at_barrier - done, done);
    }
    for (const std::size_t index : order) threads_[index]->wait = Wait::nothing;
    return true;
  }

  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::size_t current_ = 0;
  std::mt19937_64 random_;
};

Block& block() {
  static Block the_block;
  return the_block;
}

}  // namespace

cudaError_t run_grid(const cudaLaunchConfig_t& config, void (*body)(void*), void* context) {
  const std::size_t blocks = in_all(config.gridDim);
  const std::size_t threads = in_all(config.blockDim);
  if (blocks == 0 || threads == 0 || threads > kMostThreads || config.gridDim.y > 65535 ||
      config.gridDim.z > 65535 || config.dynamicSmemBytes > kMostSharedBytes) {
    return cudaErrorInvalidValue;
  }
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  for (const std::size_t index : block().shuffled(blocks)) {
    blockIdx = place(index, gridDim);
    block().run(config, body, context);
  }
  return cudaSuccess;
}

std::uint64_t exchange(std::uint64_t bits, int mask) {
  return block().exchange(bits, mask);
}

}  // namespace cuda_standin

void __syncthreads() {
  cuda_standin::block().barrier();
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int value) {
  return static_cast<std::size_t>(value) <= kMostSharedBytes ? cudaSuccess : cudaErrorInvalidValue;
}
