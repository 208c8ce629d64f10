#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantizer/factor_slab.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// One thread per column, the group's rows in registers 32 at a time. With T = A[group, group]:
//   corrected += A[block before, group]^T D[block before]        (left-looking correction)
//   solved = T^-T (weight - corrected), given = weight - solved  (what a scale search sees)
template <int kSlabs, class Grid>
__global__ void __launch_bounds__(kTileColumns)
    prepare_group_kernel(SweepData data, Grid grid, SweepTasks tasks) {
  float* slab = shared_memory<float>();
  float* kept = slab + kSlabElements + threadIdx.x;  // solved rows of former slabs, this column
  const GroupTask task = tasks.tasks[blockIdx.y];
  const std::int64_t stride = data.stride;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTileColumns + threadIdx.x;
  const float* difference = data.difference + task.state * data.rows * stride + column;
  const float* weight = data.weight + task.first_row * stride + column;
  float* corrected = data.corrected +
                     (task.state * kBlockRows + task.first_row - task.block_first) * stride +
                     column;
  float maximum = 0.0f;
  for (int s = 0; s < kSlabs; ++s) {
    const std::int64_t slab_row = task.first_row + s * kSlabRows;
    float values[kSlabRows];
#pragma unroll
    for (int i = 0; i < kSlabRows; ++i) values[i] = corrected[(s * kSlabRows + i) * stride];
    for (std::int64_t row = task.block_first; row < task.first_row; row += kSlabRows) {
      load_slab(data, row, slab_row, slab);
      add_slab<1>(slab, difference + row * stride, stride, values);
    }
#pragma unroll
    for (int i = 0; i < kSlabRows; ++i) {
      corrected[(s * kSlabRows + i) * stride] = values[i];
      values[i] = weight[(s * kSlabRows + i) * stride] - values[i];
    }
    if constexpr (Grid::kSeesGroups) {
      float* given = grid.given + task.state * std::int64_t{kMaxGroupRows} * stride + column;
      for (int former = 0; former < s; ++former) {
        load_slab(data, task.first_row + former * kSlabRows, slab_row, slab);
        add_slab<-1>(slab, kept + former * kSlabRows * kTileColumns, kTileColumns, values);
      }
      load_slab(data, slab_row, slab_row, slab);
#pragma unroll
      for (int c = 0; c < kSlabRows; ++c) {
#pragma unroll
        for (int i = c + 1; i < kSlabRows; ++i) values[i] -= slab[c * kSlabRows + i] * values[c];
        if (s + 1 < kSlabs) kept[(s * kSlabRows + c) * kTileColumns] = values[c];
        const float g = weight[(s * kSlabRows + c) * stride] - values[c];
        given[(s * kSlabRows + c) * stride] = g;
        maximum = fmaxf(maximum, fabsf(g));
      }
    }
  }
  if constexpr (Grid::kSeesGroups) {
    if (column >= data.cols) maximum = 0.0f;
    grid.maxima[task.state * stride + column] = maximum;
    __syncthreads();  // the last slab is read to its end
    maximum = block_reduce(maximum, Greatest{}, slab);
    if (threadIdx.x == 0) grid.tile_maxima[task.state * data.tiles() + blockIdx.x] = maximum;
  }
}

template <class Grid>
void launch_on_grid(const SweepData& data, const Grid& grid, const SweepTasks& tasks,
                    cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(data.tiles()), static_cast<unsigned>(tasks.count));
  const int slabs = tasks.rows / kSlabRows;
  void (*const kernels[])(SweepData, Grid, SweepTasks) = {
      prepare_group_kernel<1, Grid>, prepare_group_kernel<2, Grid>, prepare_group_kernel<3, Grid>,
      prepare_group_kernel<4, Grid>};
  launch(stream, blocks, kTileColumns, slab_shared_bytes(slabs), kernels[slabs - 1], data, grid,
         tasks);
}

}  // namespace

void launch_prepare_group(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                          cudaStream_t stream) {
  launch_on_grid(data, grid, tasks, stream);
}

void launch_prepare_group(const SweepData& data, const AffineData& grid, const SweepTasks& tasks,
                          cudaStream_t stream) {
  launch_on_grid(data, grid, tasks, stream);
}

}  // namespace shardquant::kernels::cuda
