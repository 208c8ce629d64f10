#include "kernels/api/affine_search.hpp"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantizer/device_math.cuh"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

constexpr int kScratchBytes = kTileColumns / kWarp * static_cast<int>(sizeof(double));

// Rows of column_cost, kernels/api/scale_objective.hpp: those of one group in this thread's column.
struct ScatteredRows {
  const float* values;  // [K, stride] from this column on
  std::int64_t stride;
  const std::int32_t* index;  // of the group's rows
  const float* weights;       // [K]
  int rows;

  constexpr int count() const { return rows; }
  constexpr float given(int r) const { return values[index[r] * stride]; }
  constexpr void took(int, float) const {}
  constexpr float weight(int r) const { return weights[index[r]]; }
};

// The same as the sweep inside their group changes them; differences lie in shared memory.
struct SimulatedRows {
  ScatteredRows plain;  // at most kMostSimulatedRows
  const float* factor;
  std::int64_t factor_stride;
  float* differences;  // of this column, kTileColumns apart

  constexpr int count() const { return plain.rows; }
  constexpr float given(int c) const {
    float v = plain.given(c);
    for (int r = 0; r < c; ++r) {
      v += factor[plain.index[r] * factor_stride + plain.index[c]] * differences[r * kTileColumns];
    }
    return v;
  }
  constexpr void took(int c, float value) const {
    differences[c * kTileColumns] = plain.given(c) - value;
  }
  constexpr float weight(int c) const { return plain.weight(c); }
};

// The objective of one group and column, for search_affine_column.
template <ScaleObjective kObjective>
struct AffineCost {
  ScatteredRows rows;
  SimulatedRows simulated;

  constexpr float operator()(const AffineColumn<DeviceMath>& column) {
    if constexpr (kObjective != ScaleObjective::simulated) {
      return column_cost<DeviceMath, kObjective>(column, rows);
    } else {
      float sum = 0.0f;
      for (int first = 0; first < rows.rows; first += kMostSimulatedRows) {
        simulated.plain = rows;
        simulated.plain.index += first;
        const int left = rows.rows - first;
        simulated.plain.rows = left < kMostSimulatedRows ? left : kMostSimulatedRows;
        sum += column_cost<DeviceMath, kObjective>(column, simulated);
      }
      return sum;
    }
  }
};

// One thread per column, a row of blocks per group.
template <ScaleObjective kObjective>
__global__ void __launch_bounds__(kTileColumns) search_affine_kernel(AffineSearchData data) {
  double* scratch = shared_memory<double>();
  const std::int64_t group = blockIdx.y;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kTileColumns + threadIdx.x;
  const std::int32_t first = data.first[group];
  const ScatteredRows rows{data.weight + column, data.stride, data.rows + first, data.row_weights,
                           data.first[group + 1] - first};
  float least = 0.0f;
  float greatest = 0.0f;
  for (int r = 0; r < rows.rows; ++r) {
    least = fminf(least, rows.given(r));
    greatest = fmaxf(greatest, rows.given(r));
  }
  float* differences = shared_memory<float>(kScratchBytes) + threadIdx.x;
  AffineCost<kObjective> cost{rows, {rows, data.factor, data.factor_stride, differences}};
  const AffineColumn<DeviceMath> best = search_affine_column<DeviceMath>(
      least, greatest, data.recipe, data.ratios, data.ratio_count, cost);
  const bool valid = column < data.cols;
  if (valid) {
    data.scales[group * data.cols + column] = best.scale;
    data.zeros[group * data.cols + column] = best.offset;
  }
  const bool flushed = valid && best.scale == 0.0f && (least < 0.0f || greatest > 0.0f);
  const double count = block_reduce(flushed ? 1.0 : 0.0, Sum{}, scratch);
  if (threadIdx.x == 0) {
    data.flushed[group * gridDim.x + blockIdx.x] = static_cast<std::int64_t>(count);
  }
}

}  // namespace

void launch_search_affine(const AffineSearchData& data, ScaleObjective objective,
                          cudaStream_t stream) {
  if (data.groups == 0 || data.stride == 0) return;
  const dim3 blocks(static_cast<unsigned>(data.stride / kTileColumns),
                    static_cast<unsigned>(data.groups));
  const std::int64_t differences =
      static_cast<std::int64_t>(sizeof(float)) * kMostSimulatedRows * kTileColumns;
  const bool simulated = objective == ScaleObjective::simulated;
  with_objective(objective, [&]<ScaleObjective kObjective>() {
    launch(stream, blocks, kTileColumns, kScratchBytes + (simulated ? differences : 0),
           search_affine_kernel<kObjective>, data);
  });
}

}  // namespace shardquant::kernels::cuda
