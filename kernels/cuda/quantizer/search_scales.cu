#include "kernels/cuda/quantizer/group_scale.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// 49 factors, the preset of 2023, are seven warps with seven factors each; 97 are two rounds.
constexpr int kWarps = 7;
constexpr int kFactorsPerWarp = 7;
constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer

// |dequantized - w|^3.5 of one weight under one scale; low, high: code bounds plus the shift.
__device__ float shrink_error(float w, float scale, float inverse, float low, float high) {
  const float q = fminf(fmaxf(w * inverse + kRoundingShift, low), high) - kRoundingShift;
  const float e = fmaxf(fabsf(w - q * scale), 1e-30f);  // keeps rsqrt finite; e^3.5 is zero
  return (e * e) * (e * (e * rsqrtf(e)));
}

// A block per tile of columns: each warp goes over all of them for its factors, so that sums need
// no atomics and have one order.
__global__ void __launch_bounds__(kWarps* kWarp)
    search_scales_kernel(SweepData data, SweepTasks tasks) {
  float* scales = shared_memory<float>();  // [shrink_count][kScaleCodes]
  float* inverses = scales + data.shrink_count * kScaleCodes;
  float* scratch = inverses + data.shrink_count * kScaleCodes;
  const GroupTask task = tasks.tasks[blockIdx.y];
  const float smax = base_scale(group_maximum(data, task.state, scratch), task.bits);
  for (int at = static_cast<int>(threadIdx.x); at < data.shrink_count * kScaleCodes;
       at += kWarps * kWarp) {
    const float shrunk = smax * data.shrink_factors[at / kScaleCodes];
    const float scale = group_scale(shrunk, at % kScaleCodes, data.rounding).quotient;
    scales[at] = scale;
    inverses[at] = scale > 0.0f ? 1.0f / scale : 0.0f;
  }
  __syncthreads();

  const auto half = static_cast<float>(1 << (task.bits - 1));
  const float low = kRoundingShift - half;
  const float high = kRoundingShift + half - 1.0f;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int first = warp * kFactorsPerWarp; first < data.shrink_count;
       first += kWarps * kFactorsPerWarp) {
    double totals[kFactorsPerWarp] = {};
    for (int part = 0; part < kTileColumns; part += kWarp) {
      const std::int64_t column =
          static_cast<std::int64_t>(blockIdx.x) * kTileColumns + part + lane;
      if (column >= data.cols) continue;
      const int code = scale_code(data.maxima[task.state * data.stride + column], smax, task.bits);
      float scale[kFactorsPerWarp];
      float inverse[kFactorsPerWarp];
      float sums[kFactorsPerWarp];
#pragma unroll
      for (int k = 0; k < kFactorsPerWarp; ++k) {
        // Beyond the last factor: a repetition whose result is not stored.
        const int j = first + k < data.shrink_count ? first + k : first;
        scale[k] = scales[j * kScaleCodes + code];
        inverse[k] = inverses[j * kScaleCodes + code];
        sums[k] = 0.0f;
      }
      const float* given =
          data.given + task.state * std::int64_t{kMaxGroupRows} * data.stride + column;
      for (int r = 0; r < task.rows; ++r) {
        const float w = given[r * data.stride];
#pragma unroll
        for (int k = 0; k < kFactorsPerWarp; ++k) {
          sums[k] += shrink_error(w, scale[k], inverse[k], low, high);
        }
      }
#pragma unroll
      for (int k = 0; k < kFactorsPerWarp; ++k) totals[k] += static_cast<double>(sums[k]);
    }
    double* out =
        data.search_sums +
        (task.state * data.tiles() + static_cast<std::int64_t>(blockIdx.x)) * data.shrink_count;
#pragma unroll
    for (int k = 0; k < kFactorsPerWarp; ++k) {
      const double total = warp_reduce(totals[k], Sum{});
      if (lane == 0 && first + k < data.shrink_count) out[first + k] = total;
    }
  }
}

__global__ void choose_shrink_kernel(SweepData data, SweepTasks tasks) {
  double* sums = shared_memory<double>();  // [shrink_count]
  float* scratch = reinterpret_cast<float*>(sums + data.shrink_count);
  const GroupTask task = tasks.tasks[blockIdx.x];
  const float largest = group_maximum(data, task.state, scratch);
  for (int j = static_cast<int>(threadIdx.x); j < data.shrink_count;
       j += static_cast<int>(blockDim.x)) {
    double sum = 0.0;
    for (std::int64_t tile = 0; tile < data.tiles(); ++tile) {
      sum += data.search_sums[(task.state * data.tiles() + tile) * data.shrink_count + j];
    }
    sums[j] = sum;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  int best = 0;
  for (int j = 1; j < data.shrink_count; ++j) {
    if (sums[j] < sums[best]) best = j;
  }
  const float chosen = base_scale(largest, task.bits) * data.shrink_factors[best];
  data.scale_max[task.state] = chosen;
  const bool flushed = group_scale(chosen, kScaleCodes - 1, ScaleRounding::reader).value == 0.0f;
  if (flushed && largest > 0.0f) ++data.flushed[task.state];
}

}  // namespace

void launch_search_scales(const SweepData& data, const SweepTasks& tasks, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(data.tiles()), static_cast<unsigned>(tasks.count));
  const std::int64_t shared =
      static_cast<std::int64_t>(sizeof(float)) * (2 * data.shrink_count * kScaleCodes + kWarps);
  launch(stream, grid, kWarps * kWarp, shared, search_scales_kernel, data, tasks);
}

void launch_choose_shrink(const SweepData& data, const SweepTasks& tasks, cudaStream_t stream) {
  constexpr int kThreads = 128;
  const std::int64_t shared =
      static_cast<std::int64_t>(sizeof(double)) * (data.shrink_count + kThreads / kWarp);
  launch(stream, static_cast<unsigned>(tasks.count), kThreads, shared, choose_shrink_kernel, data,
         tasks);
}

}  // namespace shardquant::kernels::cuda
