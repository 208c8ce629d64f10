#include "kernels/cuda/quantizer/option_sweep.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "kernels/api/shrink_factors.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/matrix_products.hpp"
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

OptionSweep::OptionSweep(DeviceContext& context, ConstMatrixView weight,
                         const HessianFactor& factor, const QuantizerSettings& settings,
                         int most_states)
    : context_(context), weight_(weight), factor_(factor), most_states_(most_states) {
  const std::int64_t states = most_states;
  const std::int64_t stride = weight.stride;
  const std::vector<float> factors = shrink_factors(settings);
  DeviceMemory& memory = context.memory();
  data_.weight = weight.data;
  data_.factor = factor.unit_factor.view().data;
  data_.factor_stride = factor.unit_factor.stride();
  data_.rows = weight.rows;
  data_.cols = weight.cols;
  data_.stride = stride;
  data_.shrink_count = static_cast<int>(factors.size());
  data_.rounding = settings.scale_rounding;
  if (stride % kTileColumns != 0 || data_.shrink_count > kMaxShrinkFactors) {
    throw std::invalid_argument("CUDA back end: weight not from permuted_transpose, or more than " +
                                std::to_string(kMaxShrinkFactors) + " shrink factors");
  }

  shrink_factors_ = {memory, data_.shrink_count};
  pivots_ = {memory, weight.rows};
  difference_ = {memory, states * weight.rows * stride};
  corrected_ = {memory, states * kBlockRows * stride};
  given_ = {memory, states * kMaxGroupRows * stride};
  maxima_ = {memory, states * stride};
  tile_maxima_ = {memory, states * data_.tiles()};
  scale_max_ = {memory, states};
  search_sums_ = {memory, states * data_.tiles() * data_.shrink_count};
  errors_ = {memory, states * data_.tiles()};
  flushed_ = {memory, states};
  data_.shrink_factors = shrink_factors_.get();
  data_.pivots = pivots_.get();
  data_.difference = difference_.get();
  data_.corrected = corrected_.get();
  data_.given = given_.get();
  data_.maxima = maxima_.get();
  data_.tile_maxima = tile_maxima_.get();
  data_.scale_max = scale_max_.get();
  data_.search_sums = search_sums_.get();
  data_.errors = errors_.get();
  data_.flushed = flushed_.get();
  context.upload(std::as_bytes(std::span(factors)), shrink_factors_.get());
  context.upload(std::as_bytes(std::span(factor.pivots)), pivots_.get());
}

std::int64_t OptionSweep::state_bytes(ConstMatrixView weight, const QuantizerSettings& settings) {
  const std::int64_t tiles = weight.stride / kTileColumns;
  const auto floats = (weight.rows + kBlockRows + kMaxGroupRows + 1) * weight.stride + tiles + 1;
  const std::int64_t doubles = tiles * (settings.shrink_steps + 1 + 2) + 1;
  return floats * static_cast<std::int64_t>(sizeof(float)) +
         doubles * static_cast<std::int64_t>(sizeof(double));
}

int OptionSweep::states_that_fit(DeviceContext& context, ConstMatrixView weight,
                                 const QuantizerSettings& settings, int wanted) {
  // cuBLAS takes workspace of its own, and a pool of freed pieces is never quite full.
  constexpr std::int64_t kReserve = 64 << 20;
  const std::int64_t available = context.memory().free_bytes() - kReserve;
  const std::int64_t fit = std::max<std::int64_t>(available, 0) / state_bytes(weight, settings);
  return static_cast<int>(std::min<std::int64_t>(wanted, fit));
}

void OptionSweep::run(std::span<const std::vector<RowGroup>* const> options,
                      const SweepRecord& record) {
  for (const std::vector<RowGroup>* groups : options) check_groups(*groups);
  options_ = options;
  states_.assign(1, {});
  states_[0].options.resize(options.size());
  std::iota(states_[0].options.begin(), states_[0].options.end(), std::size_t{0});
  const cudaStream_t stream = context_.stream().get();
  SHARDQUANT_CUDA_TRY(cudaMemsetAsync(
      errors_.get(), 0, static_cast<std::size_t>(errors_.count()) * sizeof(TileErrors), stream));
  SHARDQUANT_CUDA_TRY(
      cudaMemsetAsync(flushed_.get(), 0,
                      static_cast<std::size_t>(flushed_.count()) * sizeof(std::int64_t), stream));
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
void OptionSweep::start_block(std::int64_t first, std::int64_t rows) {
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
void OptionSweep::part_states(std::int64_t block_stop, std::int64_t block_rows) {
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

void OptionSweep::copy_state(int from, int to, std::int64_t block_rows) {
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
  copy(flushed_.get(), 1, 1);
}

// The next group of every state that has one in the block; launches hold groups of one height.
void OptionSweep::next_groups(std::int64_t block_first, std::int64_t block_stop,
                              const SweepRecord& record) {
  for (int rows = kSlabRows; rows <= kMaxGroupRows; rows += kSlabRows) {
    SweepTasks tasks;
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
        launch_groups(tasks, rows, record);
        tasks.count = 0;
      }
    }
    if (tasks.count > 0) launch_groups(tasks, rows, record);
  }
  for (State& state : states_) {
    if (state.next_row >= block_stop) continue;
    state.next_row += (*options_[state.options.front()])[state.next_group].rows;
    ++state.next_group;
  }
}

void OptionSweep::launch_groups(const SweepTasks& tasks, int rows, const SweepRecord& record) {
  const cudaStream_t stream = context_.stream().get();
  launch_prepare_group(data_, tasks, rows, stream);
  launch_search_scales(data_, tasks, stream);
  launch_choose_shrink(data_, tasks, stream);
  launch_quantize_columns(data_, tasks, record, rows, stream);
}

std::vector<OptionError> OptionSweep::errors() const {
  std::vector<TileErrors> tiles(static_cast<std::size_t>(errors_.count()));
  std::vector<std::int64_t> flushed(static_cast<std::size_t>(flushed_.count()));
  context_.download(errors_.get(), std::span(tiles));
  context_.download(flushed_.get(), std::span(flushed));
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

ConstMatrixView OptionSweep::difference(std::size_t index) const {
  for (std::size_t s = 0; s < states_.size(); ++s) {
    const auto& held = states_[s].options;
    if (std::find(held.begin(), held.end(), index) == held.end()) continue;
    return {difference_.get() + static_cast<std::int64_t>(s) * data_.rows * data_.stride,
            weight_.rows, weight_.cols, weight_.stride};
  }
  throw std::invalid_argument("no such option in this sweep");
}

}  // namespace shardquant::kernels::cuda
