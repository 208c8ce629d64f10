#include "kernels/cuda/quantizer/affine_columns.cuh"
#include "kernels/cuda/quantizer/exl2_columns.cuh"
#include "kernels/cuda/quantizer/factor_slab.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// One thread per column, the group's rows in registers 32 at a time, no launch per row:
//   v = corrected[c] + sum over the group's rows r < c of A[r, c] D[r]
//   q, value = the grid's, D[c] = weight[c] - value, loss += ((v - value) R_cc)^2
template <int kSlabs, class Columns>
__global__ void __launch_bounds__(kTileColumns)
    quantize_columns_kernel(SweepData data, typename Columns::Data grid, SweepTasks tasks,
                            SweepRecord record) {
  float* slab = shared_memory<float>();
  float* kept = slab + kSlabElements + threadIdx.x;  // D of former slabs, this column
  const GroupTask task = tasks.tasks[blockIdx.y];
  const std::int64_t stride = data.stride;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTileColumns + threadIdx.x;
  const bool valid = column < data.cols;
  const Columns columns(data, grid, task, column, slab);
  const bool recording = record.codes != nullptr && valid;
  if (recording) columns.record_scale(data, record, task, column);

  const float* weight = data.weight + task.first_row * stride + column;
  const float* corrected = data.corrected +
                           (task.state * kBlockRows + task.first_row - task.block_first) * stride +
                           column;
  float* difference = data.difference + (task.state * data.rows + task.first_row) * stride + column;
  float loss = 0.0f;
  float error = 0.0f;
  for (int s = 0; s < kSlabs; ++s) {
    const std::int64_t slab_row = task.first_row + s * kSlabRows;
    float values[kSlabRows];
#pragma unroll
    for (int i = 0; i < kSlabRows; ++i) values[i] = corrected[(s * kSlabRows + i) * stride];
    for (int former = 0; former < s; ++former) {
      load_slab(data, task.first_row + former * kSlabRows, slab_row, slab);
      add_slab<1>(slab, kept + former * kSlabRows * kTileColumns, kTileColumns, values);
    }
    load_slab(data, slab_row, slab_row, slab);
#pragma unroll
    for (int c = 0; c < kSlabRows; ++c) {
      const std::int64_t row = s * kSlabRows + c;
      const float v = values[c];
      const auto& point = columns.row(row);
      const float q = point.code(v);
      const float value = point.value(q);
      const float d = weight[row * stride] - value;
#pragma unroll
      for (int i = c + 1; i < kSlabRows; ++i) values[i] += slab[c * kSlabRows + i] * d;
      difference[row * stride] = d;
      if (s + 1 < kSlabs) kept[row * kTileColumns] = d;
      if (recording) {
        const std::int64_t at = (task.first_row + row) * data.cols + column;
        record.codes[at] = static_cast<std::uint8_t>(q - columns.low());
        columns.store_value(record, at, value);
      }
      const float miss = (v - value) * data.pivots[task.first_row + row];
      loss += miss * miss;
      error += d * d;
    }
  }
  __syncthreads();  // the last slab is read to its end
  double* scratch = reinterpret_cast<double*>(slab);
  const double damped_loss = block_reduce(valid ? static_cast<double>(loss) : 0.0, Sum{}, scratch);
  const double weight_error =
      block_reduce(valid ? static_cast<double>(error) : 0.0, Sum{}, scratch);
  if (threadIdx.x != 0) return;
  TileErrors& errors = data.errors[task.state * data.tiles() + blockIdx.x];
  errors.damped_loss += damped_loss;
  errors.weight_error += weight_error;
}

template <class Columns>
void launch_columns(const SweepData& data, const typename Columns::Data& grid,
                    const SweepTasks& tasks, const SweepRecord& record, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(data.tiles()), static_cast<unsigned>(tasks.count));
  const int slabs = tasks.rows / kSlabRows;
  void (*const kernels[])(SweepData, typename Columns::Data, SweepTasks, SweepRecord) = {
      quantize_columns_kernel<1, Columns>, quantize_columns_kernel<2, Columns>,
      quantize_columns_kernel<3, Columns>, quantize_columns_kernel<4, Columns>};
  launch(stream, blocks, kTileColumns, slab_shared_bytes(slabs), kernels[slabs - 1], data, grid,
         tasks, record);
}

}  // namespace

void launch_quantize_columns(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                             const SweepRecord& record, cudaStream_t stream) {
  launch_columns<Exl2Columns>(data, grid, tasks, record, stream);
}

void launch_quantize_columns(const SweepData& data, const AffineData& grid, const SweepTasks& tasks,
                             const SweepRecord& record, cudaStream_t stream) {
  launch_columns<AffineColumns>(data, grid, tasks, record, stream);
}

}  // namespace shardquant::kernels::cuda
