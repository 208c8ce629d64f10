#pragma once

#include <span>

#include "kernels/api/affine_scales.hpp"

namespace shardquant::kernels {

/// Multiples, which a search for affine scales tries in turn, of the scale that just spans a
/// group's weights: 1, then 24 from 0.5 to 1.3 in equal ratios.
std::span<const float> affine_scale_ratios();

/// The affine grid of one column that loses least. least, greatest: of its weights; ratios: see
/// affine_scale_ratios; cost: of an AffineColumn. With a zero, the nearest integer to the one that
/// centres the grid on the weights and its two neighbours are tried for every scale.
template <class Math, class Cost>
constexpr AffineColumn<Math> search_affine_column(typename Math::Number least,
                                                  typename Math::Number greatest,
                                                  const AffineRecipe& recipe, const float* ratios,
                                                  int count, Cost& cost) {
  using Number = typename Math::Number;
  const float low = recipe.low();
  const float high = recipe.high();
  const Number bottom = least < 0.0f ? least : Number{};
  const Number top = greatest > 0.0f ? greatest : Number{};
  const Number span = recipe.symmetric ? 2.0f * (top > -bottom ? top : -bottom) : top - bottom;
  AffineColumn<Math> best{{}, {}, low, high, AffineForm::zero, recipe.value_type};
  Number best_cost = Number{} + 3e38f;
  for (int i = 0; i < count; ++i) {
    AffineColumn<Math> tried = best;
    tried.scale = Math::round_to(recipe.value_type, span * (ratios[i] / (high - low)));
    const Number divisor = tried.scale > 0.0f ? tried.scale : Number{} + 1.0f;
    const Number centre = (low + high) / 2.0f - (top + bottom) / 2.0f / divisor;
    const int shifts = recipe.symmetric ? 0 : 1;
    for (int shift = -shifts; shift <= shifts; ++shift) {
      const Number zero =
          Math::round_even(Math::clamp(centre, low, high)) + static_cast<float>(shift);
      tried.offset = recipe.symmetric ? Number{} : Math::clamp(zero, low, high);
      const Number tried_cost = cost(tried);
      const auto better = tried_cost < best_cost;
      best_cost = better ? tried_cost : best_cost;
      best.scale = better ? tried.scale : best.scale;
      best.offset = better ? tried.offset : best.offset;
    }
  }
  return best;
}

}  // namespace shardquant::kernels
