#include "kernels/cuda/quantizer/exl2_columns.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// 49 factors, the preset of 2023, are seven warps with seven factors each; 97 are two rounds.
constexpr int kWarps = 7;
constexpr int kFactorsPerWarp = 7;

// A block per tile of columns: each warp goes over all of them for its factors, so that sums need
// no atomics and have one order.
template <ScaleObjective kObjective>
__global__ void __launch_bounds__(kWarps* kWarp)
    search_shrink_kernel(SweepData data, Exl2Data grid, SweepTasks tasks) {
  float* scales = shared_memory<float>();  // [shrink_count][kScaleCodes]
  float* inverses = scales + grid.shrink_count * kScaleCodes;
  float* scratch = inverses + grid.shrink_count * kScaleCodes;
  const GroupTask task = tasks.tasks[blockIdx.y];
  const float smax =
      exl2_base_scale(group_maximum(grid, data.tiles(), task.state, scratch), task.bits);
  for (int at = static_cast<int>(threadIdx.x); at < grid.shrink_count * kScaleCodes;
       at += kWarps * kWarp) {
    const float shrunk = smax * grid.shrink_factors[at / kScaleCodes];
    const float scale = exl2_scale(shrunk, at % kScaleCodes, grid.rounding).quotient;
    scales[at] = scale;
    inverses[at] = scale > 0.0f ? 1.0f / scale : 0.0f;
  }
  __syncthreads();

  const float half = half_range(task.bits);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int first = warp * kFactorsPerWarp; first < grid.shrink_count;
       first += kWarps * kFactorsPerWarp) {
    double totals[kFactorsPerWarp] = {};
    for (int part = 0; part < kTileColumns; part += kWarp) {
      const std::int64_t column =
          static_cast<std::int64_t>(blockIdx.x) * kTileColumns + part + lane;
      if (column >= data.cols) continue;
      const int code =
          exl2_scale_code(grid.maxima[task.state * data.stride + column], smax, task.bits);
      Exl2Candidate<DeviceMath> points[kFactorsPerWarp];
      float sums[kFactorsPerWarp];
#pragma unroll
      for (int k = 0; k < kFactorsPerWarp; ++k) {
        // Beyond the last factor: a repetition whose result is not stored.
        const int j = first + k < grid.shrink_count ? first + k : first;
        points[k] = {scales[j * kScaleCodes + code], inverses[j * kScaleCodes + code], -half,
                     half - 1.0f};
        sums[k] = 0.0f;
      }
      const float* given =
          grid.given + task.state * std::int64_t{kMaxGroupRows} * data.stride + column;
      for (int r = 0; r < task.rows; ++r) {
        const float w = given[r * data.stride];
        const float weight =
            kObjective == ScaleObjective::weighted ? grid.row_weights[task.first_row + r] : 1.0f;
#pragma unroll
        for (int k = 0; k < kFactorsPerWarp; ++k) {
          const float miss = w - points[k].value(points[k].code(w));
          sums[k] += objective_term<DeviceMath, kObjective>(miss, weight);
        }
      }
#pragma unroll
      for (int k = 0; k < kFactorsPerWarp; ++k) totals[k] += static_cast<double>(sums[k]);
    }
    double* out =
        grid.search_sums +
        (task.state * data.tiles() + static_cast<std::int64_t>(blockIdx.x)) * grid.shrink_count;
#pragma unroll
    for (int k = 0; k < kFactorsPerWarp; ++k) {
      const double total = warp_reduce(totals[k], Sum{});
      if (lane == 0 && first + k < grid.shrink_count) out[first + k] = total;
    }
  }
}

__global__ void choose_shrink_kernel(SweepData data, Exl2Data grid, SweepTasks tasks) {
  double* sums = shared_memory<double>();  // [shrink_count]
  float* scratch = reinterpret_cast<float*>(sums + grid.shrink_count);
  const GroupTask task = tasks.tasks[blockIdx.x];
  const float largest = group_maximum(grid, data.tiles(), task.state, scratch);
  for (int j = static_cast<int>(threadIdx.x); j < grid.shrink_count;
       j += static_cast<int>(blockDim.x)) {
    double sum = 0.0;
    for (std::int64_t tile = 0; tile < data.tiles(); ++tile) {
      sum += grid.search_sums[(task.state * data.tiles() + tile) * grid.shrink_count + j];
    }
    sums[j] = sum;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  int best = 0;
  for (int j = 1; j < grid.shrink_count; ++j) {
    if (sums[j] < sums[best]) best = j;
  }
  const float chosen = exl2_base_scale(largest, task.bits) * grid.shrink_factors[best];
  grid.scale_max[task.state] = chosen;
  if (largest > 0.0f && exl2_scale_is_lost(chosen)) ++grid.flushed[task.state];
}

}  // namespace

void launch_search_shrink(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                          ScaleObjective objective, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(data.tiles()), static_cast<unsigned>(tasks.count));
  const std::int64_t shared =
      static_cast<std::int64_t>(sizeof(float)) * (2 * grid.shrink_count * kScaleCodes + kWarps);
  with_objective(objective, [&]<ScaleObjective kObjective>() {
    launch(stream, blocks, kWarps * kWarp, shared, search_shrink_kernel<kObjective>, data, grid,
           tasks);
  });
}

void launch_choose_shrink(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                          cudaStream_t stream) {
  constexpr int kThreads = 128;
  const std::int64_t shared =
      static_cast<std::int64_t>(sizeof(double)) * (grid.shrink_count + kThreads / kWarp);
  launch(stream, static_cast<unsigned>(tasks.count), kThreads, shared, choose_shrink_kernel, data,
         grid, tasks);
}

}  // namespace shardquant::kernels::cuda
