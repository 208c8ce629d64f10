#include "kernels/cuda/quantizer/option_sweep.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/matrix_products.hpp"
#include "kernels/cuda/quantizer/affine_grid.hpp"
#include "kernels/cuda/quantizer/exl2_grid.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

void check_groups(const std::vector<RowGroup>& groups) {
  for (const RowGroup& group : groups) {
    const bool held =
        group.rows > 0 && group.rows <= kMaxGroupRows && group.rows % kSlabRows == 0 &&
        group.first_row % kSlabRows == 0 &&
        group.first_row / kBlockRows == (group.first_row + group.rows - 1) / kBlockRows;
    if (!held) {
      throw std::invalid_argument("CUDA back end: a group of " + std::to_string(group.rows) +
                                  " rows at row " + std::to_string(group.first_row) +
                                  "; groups are 32 to 128 rows, in multiples of 32");
    }
  }
}

}  // namespace

template <class Grid>
OptionSweep<Grid>::OptionSweep(DeviceContext& context, ConstMatrixView weight,
                               const HessianFactor& factor, Grid grid, int most_states)
    : context_(context), weight_(weight), factor_(factor), grid_(std::move(grid)) {
  const std::int64_t states = most_states;
  const std::int64_t stride = weight.stride;
  DeviceMemory& memory = context.memory();
  data_.weight = weight.data;
  data_.factor = factor.unit_factor.view().data;
  data_.factor_stride = factor.unit_factor.stride();
  data_.rows = weight.rows;
  data_.cols = weight.cols;
  data_.stride = stride;
  if (stride % kTileColumns != 0) {
    throw std::invalid_argument("CUDA back end: weight not from permuted_transpose");
  }
  pivots_ = context.on_device<float>(factor.pivots);
  difference_ = {memory, states * weight.rows * stride};
  corrected_ = {memory, states * kBlockRows * stride};
  errors_ = {memory, states * data_.tiles()};
  data_.pivots = pivots_.get();
  data_.difference = difference_.get();
  data_.corrected = corrected_.get();
  data_.errors = errors_.get();
}

template <class Grid>
std::int64_t OptionSweep<Grid>::state_bytes(ConstMatrixView weight) {
  return (weight.rows + kBlockRows) * weight.stride * static_cast<std::int64_t>(sizeof(float)) +
         weight.stride / kTileColumns * static_cast<std::int64_t>(sizeof(TileErrors));
}

template <class Grid>
void OptionSweep<Grid>::start_states() {
  if constexpr (Grid::kSharesBeginnings) {
    states_.assign(1, {});
    states_[0].options.resize(options_.size());
    std::iota(states_[0].options.begin(), states_[0].options.end(), std::size_t{0});
  } else {
    states_.assign(options_.size(), {});
    for (std::size_t s = 0; s < states_.size(); ++s) states_[s].options = {s};
  }
  grid_.start(context_);
  SHARDQUANT_CUDA_TRY(cudaMemsetAsync(
      errors_.get(), 0, static_cast<std::size_t>(errors_.count()) * sizeof(TileErrors),
      context_.stream().get()));
}

template <class Grid>
void OptionSweep<Grid>::run(std::span<const Cut* const> options, const SweepRecord& record) {
  for (const Cut* groups : options) check_groups(*groups);
  options_ = options;
  start_states();
  for (std::int64_t first = 0; first < weight_.rows; first += kBlockRows) {
    const std::int64_t stop = std::min(weight_.rows, first + kBlockRows);
    start_block(first, stop - first);
    const auto in_block = [&](const State& state) { return state.next_row < stop; };
    while (std::any_of(states_.begin(), states_.end(), in_block)) {
      part_states(stop, stop - first);
      next_groups(first, stop, record);
    }
  }
}

// corrected = weight + A[:first, block]^T D[:first], for all states in one batched product.
template <class Grid>
void OptionSweep<Grid>::start_block(std::int64_t first, std::int64_t rows) {
  const std::int64_t stride = data_.stride;
  const std::int64_t per_state = kBlockRows * stride;
  for (std::size_t s = 0; s < states_.size(); ++s) {
    SHARDQUANT_CUDA_TRY(cudaMemcpyAsync(corrected_.get() + static_cast<std::int64_t>(s) * per_state,
                                        weight_.row(first),
                                        static_cast<std::size_t>(rows * stride) * sizeof(float),
                                        cudaMemcpyDeviceToDevice, context_.stream().get()));
  }
  if (first == 0) return;
  const ConstMatrixView factor = factor_.unit_factor;
  multiply_transposed(context_, {factor.data + first, first, rows, factor.stride},
                      {difference_.get(), first, stride, stride}, 1.0f,
                      {corrected_.get(), rows, stride, stride},
                      {static_cast<int>(states_.size()), 0, data_.rows * stride, per_state});
}

// Gives the options of a state that go on with another group than its first one states of their
// own.
template <class Grid>
void OptionSweep<Grid>::part_states(std::int64_t block_stop, std::int64_t block_rows) {
  for (std::size_t s = 0; s < states_.size(); ++s) {
    if (states_[s].next_row >= block_stop) continue;
    const std::size_t next = states_[s].next_group;
    const auto group_of = [&](std::size_t option) { return (*options_[option])[next]; };
    const RowGroup own = group_of(states_[s].options.front());
    State parted{{}, next, states_[s].next_row};
    std::vector<std::size_t> staying;
    for (const std::size_t option : states_[s].options) {
      (group_of(option) == own ? staying : parted.options).push_back(option);
    }
    if (parted.options.empty()) continue;
    states_[s].options = std::move(staying);
    const auto to = static_cast<int>(states_.size());
    copy_state(static_cast<int>(s), to, block_rows);
    states_.push_back(std::move(parted));  // looked at later in this loop: it may part again
  }
}

template <class Grid>
void OptionSweep<Grid>::copy_state(int from, int to, std::int64_t block_rows) {
  const cudaStream_t stream = context_.stream().get();
  const auto copy = [&](auto* data, std::int64_t per_state, std::int64_t count) {
    if (count == 0) return;
    SHARDQUANT_CUDA_TRY(cudaMemcpyAsync(data + to * per_state, data + from * per_state,
                                        static_cast<std::size_t>(count) * sizeof(*data),
                                        cudaMemcpyDeviceToDevice, stream));
  };
  const std::int64_t stride = data_.stride;
  const std::int64_t row = states_[static_cast<std::size_t>(from)].next_row;
  copy(difference_.get(), data_.rows * stride, row * stride);
  copy(corrected_.get(), kBlockRows * stride, block_rows * stride);
  copy(errors_.get(), data_.tiles(), data_.tiles());
  grid_.copy_state(context_, from, to);
}

// The next group of every state that has one in the block; launches hold groups of one height.
template <class Grid>
void OptionSweep<Grid>::next_groups(std::int64_t block_first, std::int64_t block_stop,
                                    const SweepRecord& record) {
  for (int rows = kSlabRows; rows <= kMaxGroupRows; rows += kSlabRows) {
    SweepTasks tasks;
    tasks.rows = rows;
    for (std::size_t s = 0; s < states_.size(); ++s) {
      const State& state = states_[s];
      if (state.next_row >= block_stop) continue;
      const RowGroup& group = (*options_[state.options.front()])[state.next_group];
      if (group.rows != rows) continue;
      tasks.tasks[tasks.count++] = {static_cast<std::int32_t>(s),
                                    rows,
                                    group.first_row,
                                    block_first,
                                    group.bits,
                                    static_cast<std::int32_t>(state.next_group)};
      if (tasks.count == SweepTasks::kMost) {
        launch_groups(tasks, record);
        tasks.count = 0;
      }
    }
    if (tasks.count > 0) launch_groups(tasks, record);
  }
  for (State& state : states_) {
    if (state.next_row >= block_stop) continue;
    state.next_row += (*options_[state.options.front()])[state.next_group].rows;
    ++state.next_group;
  }
}

template <class Grid>
void OptionSweep<Grid>::launch_groups(const SweepTasks& tasks, const SweepRecord& record) {
  const cudaStream_t stream = context_.stream().get();
  launch_prepare_group(data_, grid_.data(), tasks, stream);
  grid_.choose(context_, data_, tasks);
  launch_quantize_columns(data_, grid_.data(), tasks, record, stream);
}

template <class Grid>
std::vector<OptionError> OptionSweep<Grid>::errors() const {
  std::vector<TileErrors> tiles(static_cast<std::size_t>(errors_.count()));
  context_.download(errors_.get(), std::span(tiles));
  const std::vector<std::int64_t> flushed = grid_.flushed_groups(context_);
  std::vector<OptionError> errors(options_.size());
  for (std::size_t s = 0; s < states_.size(); ++s) {
    OptionError error;
    const auto begin = tiles.begin() + static_cast<std::int64_t>(s) * data_.tiles();
    for (auto tile = begin; tile != begin + data_.tiles(); ++tile) {
      error.damped_loss += tile->damped_loss;
      error.weight_error += tile->weight_error;
    }
    error.flushed_groups = flushed[s];
    for (const std::size_t option : states_[s].options) errors[option] = error;
  }
  return errors;
}

template <class Grid>
ConstMatrixView OptionSweep<Grid>::difference(std::size_t index) const {
  for (std::size_t s = 0; s < states_.size(); ++s) {
    const auto& held = states_[s].options;
    if (std::find(held.begin(), held.end(), index) == held.end()) continue;
    return {difference_.get() + static_cast<std::int64_t>(s) * data_.rows * data_.stride,
            weight_.rows, weight_.cols, weight_.stride};
  }
  throw std::invalid_argument("no such option in this sweep");
}

template class OptionSweep<Exl2Grid>;
template class OptionSweep<AffineGrid>;

}  // namespace shardquant::kernels::cuda
