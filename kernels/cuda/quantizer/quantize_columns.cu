#include "kernels/cuda/quantizer/factor_slab.cuh"
#include "kernels/cuda/quantizer/group_scale.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// How one thread quantizes its column.
struct ColumnScale {
  GroupScale scale;
  bool usable;
  float divisor;
  float low;   // least q - 2^(bits-1)
  float high;  // largest

  __device__ float code(float v) const {
    return usable ? rintf(fminf(fmaxf(v / divisor, low), high)) : 0.0f;
  }
};

__device__ ColumnScale column_scale(const SweepData& data, const GroupTask& task, int code) {
  const GroupScale scale = group_scale(data.scale_max[task.state], code, data.rounding);
  const bool usable = scale.quotient > 0.0f;
  const auto half = static_cast<float>(1 << (task.bits - 1));
  return {scale, usable, usable ? scale.quotient : 1.0f, -half, half - 1.0f};
}

// One thread per column, the group's rows in registers 32 at a time, no launch per row:
//   v = corrected[c] + sum over the group's rows r < c of A[r, c] D[r]
//   q = clamp(round(v / s)), D[c] = weight[c] - fp16(q s), loss += ((v - fp16(q s)) R_cc)^2
template <int kSlabs>
__global__ void __launch_bounds__(kTileColumns)
    quantize_columns_kernel(SweepData data, SweepTasks tasks, SweepRecord record) {
  float* slab = shared_memory<float>();
  float* kept = slab + kSlabElements + threadIdx.x;  // D of former slabs, this column
  const GroupTask task = tasks.tasks[blockIdx.y];
  const std::int64_t stride = data.stride;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTileColumns + threadIdx.x;
  const bool valid = column < data.cols;
  const float smax = base_scale(group_maximum(data, task.state, slab), task.bits);
  const int scale_of_column =
      scale_code(data.maxima[task.state * stride + column], smax, task.bits);
  const ColumnScale scale = column_scale(data, task, scale_of_column);
  const bool recording = record.codes != nullptr && valid;
  if (recording) {
    record.scale_codes[task.index * data.cols + column] =
        static_cast<std::uint8_t>(scale_of_column);
    if (column == 0) record.scale_max[task.index] = to_half(data.scale_max[task.state]).bits;
  }

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
      const float q = scale.code(v);
      const float value = round_to_half(q * scale.scale.value);
      const float d = weight[row * stride] - value;
#pragma unroll
      for (int i = c + 1; i < kSlabRows; ++i) values[i] += slab[c * kSlabRows + i] * d;
      difference[row * stride] = d;
      if (s + 1 < kSlabs) kept[row * kTileColumns] = d;
      if (recording) {
        const std::int64_t at = (task.first_row + row) * data.cols + column;
        record.codes[at] = static_cast<std::uint8_t>(q - scale.low);
        record.values[at] = to_half(value).bits;
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

}  // namespace

void launch_quantize_columns(const SweepData& data, const SweepTasks& tasks,
                             const SweepRecord& record, int rows, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(data.tiles()), static_cast<unsigned>(tasks.count));
  const int slabs = rows / kSlabRows;
  void (*const kernels[])(SweepData, SweepTasks, SweepRecord) = {
      quantize_columns_kernel<1>, quantize_columns_kernel<2>, quantize_columns_kernel<3>,
      quantize_columns_kernel<4>};
  launch(stream, grid, kTileColumns, slab_shared_bytes(slabs), kernels[slabs - 1], data, tasks,
         record);
}

}  // namespace shardquant::kernels::cuda
