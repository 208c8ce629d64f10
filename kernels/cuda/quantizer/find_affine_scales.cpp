#include <numeric>

#include "kernels/api/affine_search.hpp"
#include "kernels/api/hessian_damping.hpp"
#include "kernels/cuda/quantizer/quantize_matrix.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

std::vector<float> row_weights(const HessianFactor& factor, ScaleObjective objective) {
  if (objective != ScaleObjective::simulated) return damped_diagonal(factor);
  std::vector<float> squares(factor.pivots);
  for (float& value : squares) value *= value;
  return squares;
}

}  // namespace

AffineScales find_affine_scales(DeviceContext& context, ConstMatrixView weight,
                                const HessianFactor& factor, const AffineRecipe& recipe,
                                const QuantizerSettings& settings) {
  AffineScales found = empty_affine_scales(recipe, weight.rows, weight.cols);
  const AffineRows sorted = rows_by_affine_group(factor.perm, found.group_size);
  const auto rows = context.on_device<std::int32_t>(sorted.rows);
  const auto first = context.on_device<std::int32_t>(sorted.first);
  const auto weights = context.on_device<float>(row_weights(factor, settings.affine_objective));
  const auto ratios = context.on_device<float>(affine_scale_ratios());
  const auto count = static_cast<std::int64_t>(found.scales.size());
  const std::int64_t groups = std::ssize(sorted.first) - 1;
  const std::int64_t tiles = weight.stride / kTileColumns;
  DeviceBuffer<float> scales(context.memory(), count);
  DeviceBuffer<float> zeros(context.memory(), count);
  DeviceBuffer<std::int64_t> flushed(context.memory(), groups * tiles);

  AffineSearchData data;
  data.weight = weight.data;
  data.cols = weight.cols;
  data.stride = weight.stride;
  data.factor = factor.unit_factor.view().data;
  data.factor_stride = factor.unit_factor.stride();
  data.row_weights = weights.get();
  data.rows = rows.get();
  data.first = first.get();
  data.groups = groups;
  data.recipe = recipe;
  data.ratios = ratios.get();
  data.ratio_count = static_cast<int>(affine_scale_ratios().size());
  data.scales = scales.get();
  data.zeros = zeros.get();
  data.flushed = flushed.get();
  launch_search_affine(data, settings.affine_objective, context.stream().get());

  context.download(scales.get(), std::span(found.scales));
  context.download(zeros.get(), std::span(found.offsets));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(groups * tiles));
  context.download(flushed.get(), std::span(counts));
  found.flushed_groups = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  return found;
}

}  // namespace shardquant::kernels::cuda
