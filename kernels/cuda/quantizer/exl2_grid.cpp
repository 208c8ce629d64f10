#include "kernels/cuda/quantizer/exl2_grid.hpp"

#include <stdexcept>
#include <string>

#include "kernels/api/hessian_damping.hpp"
#include "kernels/api/shrink_factors.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

Exl2Grid::Exl2Grid(DeviceContext& context, ConstMatrixView weight, const HessianFactor& factor,
                   const QuantizerSettings& settings, int states)
    : objective_(settings.shrink_objective) {
  constexpr int kMaxShrinkFactors = 256;
  const std::vector<float> factors = shrink_factors(settings);
  const std::vector<float> diagonal = damped_diagonal(factor);
  const std::int64_t tiles = weight.stride / kTileColumns;
  DeviceMemory& memory = context.memory();
  data_.shrink_count = static_cast<int>(factors.size());
  data_.rounding = settings.scale_rounding;
  if (data_.shrink_count > kMaxShrinkFactors) {
    throw std::invalid_argument("CUDA back end: more than " + std::to_string(kMaxShrinkFactors) +
                                " shrink factors");
  }
  shrink_factors_ = context.on_device<float>(factors);
  row_weights_ = context.on_device<float>(diagonal);
  given_ = {memory, states * kMaxGroupRows * weight.stride};
  maxima_ = {memory, states * weight.stride};
  tile_maxima_ = {memory, states * tiles};
  scale_max_ = {memory, states};
  search_sums_ = {memory, states * tiles * data_.shrink_count};
  flushed_ = {memory, states};
  data_.shrink_factors = shrink_factors_.get();
  data_.row_weights = row_weights_.get();
  data_.given = given_.get();
  data_.maxima = maxima_.get();
  data_.tile_maxima = tile_maxima_.get();
  data_.search_sums = search_sums_.get();
  data_.scale_max = scale_max_.get();
  data_.flushed = flushed_.get();
}

std::int64_t Exl2Grid::state_bytes(ConstMatrixView weight, const QuantizerSettings& settings) {
  const std::int64_t tiles = weight.stride / kTileColumns;
  const std::int64_t floats = (kMaxGroupRows + 1) * weight.stride + tiles + 1;
  const std::int64_t doubles = tiles * (settings.shrink_steps + 1) + 1;
  return floats * static_cast<std::int64_t>(sizeof(float)) +
         doubles * static_cast<std::int64_t>(sizeof(double));
}

void Exl2Grid::start(DeviceContext& context) {
  SHARDQUANT_CUDA_TRY(cudaMemsetAsync(
      flushed_.get(), 0, static_cast<std::size_t>(flushed_.count()) * sizeof(std::int64_t),
      context.stream().get()));
}

void Exl2Grid::copy_state(DeviceContext& context, int from, int to) {
  SHARDQUANT_CUDA_TRY(cudaMemcpyAsync(flushed_.get() + to, flushed_.get() + from,
                                      sizeof(std::int64_t), cudaMemcpyDeviceToDevice,
                                      context.stream().get()));
}

void Exl2Grid::choose(DeviceContext& context, const SweepData& data, const SweepTasks& tasks) {
  launch_search_shrink(data, data_, tasks, objective_, context.stream().get());
  launch_choose_shrink(data, data_, tasks, context.stream().get());
}

std::vector<std::int64_t> Exl2Grid::flushed_groups(DeviceContext& context) const {
  std::vector<std::int64_t> flushed(static_cast<std::size_t>(flushed_.count()));
  context.download(flushed_.get(), std::span(flushed));
  return flushed;
}

}  // namespace shardquant::kernels::cuda
