#include <gtest/gtest.h>

#include <cmath>

#include "kernels/api/hessian_damping.hpp"
#include "tests/oracle/naive_affine.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/random_layer.hpp"

namespace shardquant::kernels {
namespace {

using oracle::AffinePoint;
using oracle::Dense;
using tests::RandomLayer;

// A layer on a back end, and the same in double.
struct Prepared {
  HessianFactor factor;
  Matrix weight;
  Dense plain;   // [K, N] permuted
  Dense h;       // permuted, undamped
  Dense damped;  // permuted
};

class Affine : public tests::BackendTest {
 protected:
  Prepared prepare(const RandomLayer& layer, bool sorted) {
    const std::int64_t k = layer.inputs.cols;
    QuantizerSettings settings;
    settings.sort_inputs = sorted;
    Matrix x = on_device(layer.inputs.rows, k, layer.inputs_f32());
    Matrix h = backend->allocate(k, k);
    backend->fill_zero(h);
    backend->accumulate_hessian(x, 0.5f, h);
    Prepared made;
    made.factor = backend->factor_hessian(std::move(h), settings);
    const std::vector<float> stored = layer.weight_f32();
    made.weight =
        backend->permuted_transpose({reinterpret_cast<const std::byte*>(stored.data()),
                                     ElementType::f32, layer.weight.rows, layer.weight.cols},
                                    made.factor.perm);
    made.plain = tests::permuted_rows(layer.weight, made.factor.perm);
    made.h = oracle::permuted(oracle::hessian(layer.inputs, 0.5), made.factor.perm);
    made.damped = made.h;
    for (std::int64_t i = 0; i < k; ++i) made.damped.at(i, i) += made.factor.damp;
    return made;
  }

  // Values as numbers, [K, N].
  static Dense values_of(const QuantizedMatrix& matrix, std::int64_t rows, std::int64_t cols) {
    Dense values(rows, cols);
    for (std::size_t i = 0; i < values.values.size(); ++i) {
      if (matrix.affine.value_type == ElementType::f32) {
        values.values[i] = matrix.float_values[i];
      } else if (matrix.affine.value_type == ElementType::f16) {
        values.values[i] = to_float(Half{matrix.values[i]});
      } else {
        values.values[i] = to_float(BFloat16{matrix.values[i]});
      }
    }
    return values;
  }

  // What any reader of codes and scales computes is what was measured, to the bit.
  static void expect_readers_values(const QuantizedMatrix& got, const Prepared& made) {
    const Dense values = values_of(got, made.plain.rows, made.plain.cols);
    for (std::int64_t k = 0; k < values.rows; ++k) {
      for (std::int64_t n = 0; n < values.cols; ++n) {
        const AffinePoint point =
            oracle::affine_point(got.affine, made.factor.perm[k], n, values.cols);
        const double q = got.codes[k * values.cols + n] + point.low;
        ASSERT_LE(q, point.high);
        ASSERT_EQ(values.at(k, n), oracle::affine_value(point, q)) << k << ' ' << n;
      }
    }
  }

  // The loss is that of the values: tr(E^T H E), E = W - values.
  static void expect_loss_of_values(const QuantizedMatrix& got, const Prepared& made) {
    Dense e = made.plain;
    const Dense values = values_of(got, e.rows, e.cols);
    double squares = 0.0;
    for (std::size_t i = 0; i < e.values.size(); ++i) {
      e.values[i] -= values.values[i];
      squares += e.values[i] * e.values[i];
    }
    EXPECT_NEAR(got.error.weight_error / squares, 1.0, 1e-5);
    EXPECT_NEAR(got.error.damped_loss / oracle::quadratic_form(e, made.damped), 1.0, 1e-5);
    EXPECT_NEAR(got.error.loss(made.factor.damp) / oracle::quadratic_form(e, made.h), 1.0, 1e-4);
  }

  // Scales of a format that chooses them elsewhere: some per group and column, with a few zeros.
  static AffineScales some_scales(const Prepared& made, std::int64_t group_size, int bits,
                                  AffineForm form, ElementType type) {
    const std::int64_t cols = made.plain.cols;
    AffineScales scales;
    scales.group_size = group_size;
    scales.low = form == AffineForm::minimum ? 0 : -(1 << (bits - 1));
    scales.high = scales.low + (1 << bits) - 1;
    scales.form = form;
    scales.value_type = type;
    const std::int64_t groups = affine_group_count(made.plain.rows, group_size);
    for (std::int64_t at = 0; at < groups * cols; ++at) {
      const double part = static_cast<double>((at * 37 + 11) % 64) / 64.0;
      const auto scale = static_cast<float>(at % 53 == 7 ? 0.0 : (0.6 + part) * 0.08 / (1 << bits));
      scales.scales.push_back(type == ElementType::bf16 ? round_to_bfloat(scale)
                                                        : round_to_half(scale));
      const double spread = form == AffineForm::minimum ? 0.03 + 0.02 * part : std::floor(4 * part);
      scales.offsets.push_back(static_cast<float>(spread));
    }
    return scales;
  }
};

std::int64_t equal_codes(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  std::int64_t same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
  return same;
}

TEST_P(Affine, GivenScalesAgreeWithTheOracleInAnyOrderOfRows) {
  std::int64_t equal = 0;
  std::int64_t all = 0;
  for (const bool sorted : {false, true}) {
    const RandomLayer layer(300, 288, 37, 21);
    const Prepared made = prepare(layer, sorted);
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      for (const auto form : {AffineForm::zero, AffineForm::minimum}) {
        for (const auto type : {ElementType::f32, ElementType::f16, ElementType::bf16}) {
          for (const std::int64_t group_size : {16, 32, 128, 288}) {
            SCOPED_TRACE(testing::Message() << bits << " bits, form " << static_cast<int>(form)
                                            << ", type " << static_cast<int>(type) << ", group "
                                            << group_size << " sorted " << sorted);
            const AffineScales scales = some_scales(made, group_size, bits, form, type);
            const QuantizedMatrix got = backend->quantize(made.weight, made.factor, scales, {});
            EXPECT_EQ(got.affine.scales, scales.scales);
            expect_readers_values(got, made);
            expect_loss_of_values(got, made);
            if (type == ElementType::f16 || group_size != 32) continue;
            const oracle::Result want =
                oracle::naive_affine_gptq(made.plain, made.damped, scales, made.factor.perm);
            equal += equal_codes(got.codes, want.codes);
            all += std::ssize(got.codes);
            // Codes at the middle of a step may go either way and then take later ones along.
            EXPECT_NEAR(got.error.damped_loss / want.damped_loss, 1.0, 5e-3);
          }
        }
      }
    }
  }
  const double share = static_cast<double>(equal) / static_cast<double>(all);
  std::printf("%.4f %% of codes equal to the oracle's\n", 100.0 * share);
  EXPECT_GE(share, 0.998);
}

// The whole of a search is checked by its outcome: no grid that it should have tried is better.
TEST_P(Affine, FoundScalesCostWhatTheBestOfAllGridsTriedCosts) {
  const RandomLayer layer(300, 288, 21, 22);
  for (const bool sorted : {false, true}) {
    const Prepared made = prepare(layer, sorted);
    const Dense factor = oracle::reversed_cholesky(made.damped);
    for (const auto objective : {ScaleObjective::power_3_5, ScaleObjective::squared,
                                 ScaleObjective::weighted, ScaleObjective::simulated}) {
      for (const AffineRecipe& recipe : {AffineRecipe{3, 32, true, ElementType::bf16},
                                         AffineRecipe{4, 64, false, ElementType::f16},
                                         AffineRecipe{2, 32, false, ElementType::bf16},
                                         AffineRecipe{8, 0, true, ElementType::f32}}) {
        QuantizerSettings settings;
        settings.affine_objective = objective;
        const AffineScales found =
            backend->find_affine_scales(made.weight, made.factor, recipe, settings);
        EXPECT_EQ(found.offsets.empty(), recipe.symmetric);
        const AffineRows groups = rows_by_affine_group(made.factor.perm, found.group_size);
        for (std::size_t g = 0; g + 1 < groups.first.size(); ++g) {
          const std::vector<std::int32_t> rows(groups.rows.begin() + groups.first[g],
                                               groups.rows.begin() + groups.first[g + 1]);
          for (std::int64_t n = 0; n < made.plain.cols; ++n) {
            const AffinePoint point =
                oracle::affine_point(found, made.factor.perm[rows[0]], n, made.plain.cols);
            ASSERT_EQ(point.scale, oracle::round_to_type(recipe.value_type, point.scale));
            const double cost =
                oracle::affine_cost(made.plain, made.damped, factor, rows, n, point, objective);
            const double least = oracle::least_affine_cost(made.plain, made.damped, factor, rows, n,
                                                           recipe, objective);
            // Two grids that differ by one rounding of a weight in fp32.
            ASSERT_LE(cost, least * (1.0 + 2e-2)) << g << ' ' << n << ' ' << recipe.bits;
          }
        }
      }
    }
  }
}

TEST_P(Affine, EveryRecipeQuantizesAndFinerOnesLoseLess) {
  const RandomLayer layer(400, 320, 45, 23);
  const Prepared made = prepare(layer, true);
  for (const bool symmetric : {true, false}) {
    double before = 1e300;
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      for (const auto objective : {ScaleObjective::weighted, ScaleObjective::simulated}) {
        QuantizerSettings settings;
        settings.affine_objective = objective;
        const AffineRecipe recipe{bits, 64, symmetric, ElementType::bf16};
        const QuantizedMatrix got = backend->quantize(made.weight, made.factor, recipe, settings);
        expect_readers_values(got, made);
        expect_loss_of_values(got, made);
        EXPECT_EQ(got.error.flushed_groups, 0);
        const AffineScales found =
            backend->find_affine_scales(made.weight, made.factor, recipe, settings);
        EXPECT_EQ(got.affine.scales, found.scales);
        EXPECT_EQ(got.affine.offsets, found.offsets);
        EXPECT_LT(got.error.damped_loss,
                  before * (objective == ScaleObjective::weighted ? 1 : 1.1));
        if (objective == ScaleObjective::simulated) before = got.error.damped_loss;
      }
    }
  }
}

TEST_P(Affine, MeasuringEveryKindOfOptionTogetherEqualsQuantizingEach) {
  const RandomLayer layer(300, 256, 70, 24);
  const Prepared made = prepare(layer, true);
  const std::vector<RowGroup> cut = {{0, 128, 4}, {128, 128, 3}};
  const std::vector<WeightRecipe> options = {
      AffineRecipe{4, 32, true, ElementType::bf16},
      cut,
      AffineRecipe{3, 128, false, ElementType::f16},
      some_scales(made, 16, 4, AffineForm::minimum, ElementType::f32),
      std::vector<RowGroup>{{0, 128, 4}, {128, 128, 2}},
      AffineRecipe{8, 0, true, ElementType::f32}};
  const std::vector<OptionError> errors =
      backend->measure_options(made.weight, made.factor, options, {}, {}, 1);
  ASSERT_EQ(errors.size(), options.size());
  for (std::size_t i = 0; i < options.size(); ++i) {
    const QuantizedMatrix alone = backend->quantize(made.weight, made.factor, options[i], {});
    EXPECT_NEAR(errors[i].damped_loss / alone.error.damped_loss, 1.0, 1e-5) << i;
    EXPECT_NEAR(errors[i].weight_error / alone.error.weight_error, 1.0, 1e-5) << i;
    EXPECT_EQ(errors[i].flushed_groups, alone.error.flushed_groups) << i;
  }
}

TEST_P(Affine, SameBytesForAnyNumberOfThreads) {
  const RandomLayer layer(300, 256, 1100, 25);
  const Prepared made = prepare(layer, true);
  const auto other = two_threads();
  QuantizerSettings settings;
  settings.affine_objective = ScaleObjective::simulated;
  const AffineRecipe recipe{3, 64, false, ElementType::bf16};
  const QuantizedMatrix one = backend->quantize(made.weight, made.factor, recipe, settings);
  const QuantizedMatrix two = other->quantize(made.weight, made.factor, recipe, settings);
  EXPECT_EQ(one.codes, two.codes);
  EXPECT_EQ(one.values, two.values);
  EXPECT_EQ(one.affine.scales, two.affine.scales);
  EXPECT_EQ(one.affine.offsets, two.affine.offsets);
  EXPECT_EQ(one.error.damped_loss, two.error.damped_loss);
}

TEST_P(Affine, ZeroWeightsGiveZerosAndAScaleLostToRoundingIsCounted) {
  RandomLayer layer(100, 64, 8, 26);
  for (double& value : layer.weight.values) value = 0.0;
  const AffineRecipe recipe{4, 32, true, ElementType::f16};
  const Prepared zero = prepare(layer, true);
  const QuantizedMatrix nothing = backend->quantize(zero.weight, zero.factor, recipe, {});
  EXPECT_EQ(nothing.error.damped_loss, 0.0);
  EXPECT_EQ(nothing.error.flushed_groups, 0);
  layer.weight.at(3, 5) = 1e-9;
  const Prepared tiny = prepare(layer, true);
  const QuantizedMatrix lost = backend->quantize(tiny.weight, tiny.factor, recipe, {});
  EXPECT_TRUE(std::isfinite(lost.error.damped_loss));
  EXPECT_EQ(lost.error.flushed_groups, 1);
}

TEST_P(Affine, WhatDoesNotFitIsRefused) {
  const RandomLayer layer(100, 64, 8, 27);
  const Prepared made = prepare(layer, true);
  const auto refuse = [&](const WeightRecipe& recipe) {
    EXPECT_THROW(backend->quantize(made.weight, made.factor, recipe, {}), std::invalid_argument);
  };
  refuse(AffineRecipe{1, 32});
  refuse(AffineRecipe{9, 32});
  refuse(AffineRecipe{4, -1});
  AffineScales scales = some_scales(made, 32, 4, AffineForm::zero, ElementType::f32);
  scales.scales.pop_back();
  refuse(scales);
  scales = some_scales(made, 32, 4, AffineForm::zero, ElementType::f32);
  scales.high = scales.low + 256;
  refuse(scales);
  QuantizerSettings settings;
  settings.shrink_objective = ScaleObjective::simulated;
  EXPECT_THROW(
      backend->quantize(made.weight, made.factor, std::vector<RowGroup>{{0, 64, 4}}, settings),
      std::invalid_argument);
}

INSTANTIATE_FOR_BACKENDS(Affine);

}  // namespace
}  // namespace shardquant::kernels
