#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/block_reduce.cuh"

// Whether the stand-in finds the faults that it is there to find: a kernel's own tests are worth as
// much as these.
namespace shardquant::kernels::cuda {
namespace {

template <class T>
class OnDevice {
 public:
  explicit OnDevice(std::size_t count) : count_(count) {
    void* data = nullptr;
    cudaMallocAsync(&data, count * sizeof(T), nullptr);
    data_ = static_cast<T*>(data);
  }
  ~OnDevice() { cudaFreeAsync(data_, nullptr); }
  T* get() const { return data_; }
  std::vector<T> host() const { return {data_, data_ + count_}; }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

__global__ void write_places(std::int64_t* out) {
  const std::int64_t at = thread_in_grid();
  out[at] = static_cast<std::int64_t>(blockIdx.x) * 1000 + threadIdx.x;
}

TEST(CudaStandin, EveryThreadOfEveryBlockRunsOnce) {
  OnDevice<std::int64_t> out(5 * 96);
  launch(nullptr, 5, 96, 0, write_places, out.get());
  const auto values = out.host();
  for (std::int64_t b = 0; b < 5; ++b) {
    for (std::int64_t t = 0; t < 96; ++t) {
      EXPECT_EQ(values[static_cast<std::size_t>(b * 96 + t)], b * 1000 + t);
    }
  }
}

__global__ void sum_of_places(double* out) {
  out[threadIdx.x] = block_reduce(static_cast<double>(threadIdx.x), Sum{}, shared_memory<double>());
}

TEST(CudaStandin, BarriersAndShufflesCarryValues) {
  OnDevice<double> out(224);
  launch(nullptr, 1, 224, 64, sum_of_places, out.get());
  for (const double value : out.host()) EXPECT_EQ(value, 223.0 * 224.0 / 2.0);
}

TEST(CudaStandin, FreshMemoryIsNaN) {
  OnDevice<float> out(7);
  for (const float value : out.host()) EXPECT_TRUE(std::isnan(value));
}

__global__ void copy_shared(float* out) {
  out[threadIdx.x] = shared_memory<float>()[threadIdx.x];
}

TEST(CudaStandin, SharedMemoryStartsAsNaNInEveryBlock) {
  OnDevice<float> out(32);
  launch(nullptr, 3, 32, 128, copy_shared, out.get());
  for (const float value : out.host()) EXPECT_TRUE(std::isnan(value));
}

// The neighbour's value without a barrier in between: right only if the neighbour ran before.
__global__ void read_neighbour_without_barrier(float* out) {
  auto* shared = shared_memory<float>();
  shared[threadIdx.x] = 1.0f;
  out[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}

TEST(CudaStandin, AMissingBarrierShows) {
  OnDevice<float> out(64);
  launch(nullptr, 1, 64, 256, read_neighbour_without_barrier, out.get());
  int wrong = 0;
  for (const float value : out.host()) wrong += std::isnan(value) ? 1 : 0;
  EXPECT_GT(wrong, 8);
}

__global__ void write_behind(float* out, int count) {
  if (threadIdx.x == 0) out[count] = 1.0f;
}

void run_write_behind() {
  OnDevice<float> out(10);
  launch(nullptr, 1, 32, 0, write_behind, out.get(), 10);
}

TEST(CudaStandinDeathTest, AWriteBehindAnAllocationEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run_write_behind(), "written behind an allocation|use-after-poison");
}

__global__ void barrier_for_some(float*) {
  if (threadIdx.x < 20) __syncthreads();
}

void run_barrier_for_some() {
  OnDevice<float> out(1);
  launch(nullptr, 1, 32, 0, barrier_for_some, out.get());
}

TEST(CudaStandinDeathTest, ABarrierThatNotAllThreadsReachEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run_barrier_for_some(), "20 wait at a barrier, 0 in a shuffle, 12 are done");
}

__global__ void shuffle_for_some(float* out) {
  if (threadIdx.x < 8) out[0] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

void run_shuffle_for_some() {
  OnDevice<float> out(1);
  launch(nullptr, 1, 32, 0, shuffle_for_some, out.get());
}

TEST(CudaStandinDeathTest, AShuffleThatNotAllLanesReachEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(run_shuffle_for_some(), "8 in a shuffle, 24 are done");
}

TEST(CudaStandin, ALaunchThatADeviceWouldRefuseIsAnError) {
  OnDevice<float> out(1);
  EXPECT_THROW(launch(nullptr, 1, 2048, 0, barrier_for_some, out.get()), DeviceError);
  EXPECT_THROW(launch(nullptr, dim3(1, 70000), 32, 0, barrier_for_some, out.get()), DeviceError);
  EXPECT_THROW(launch(nullptr, 1, 32, 300000, barrier_for_some, out.get()), DeviceError);
}

}  // namespace
}  // namespace shardquant::kernels::cuda
