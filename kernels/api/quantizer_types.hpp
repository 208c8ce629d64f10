#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "kernels/api/affine_scales.hpp"
#include "kernels/api/matrix.hpp"
#include "kernels/api/row_group.hpp"
#include "kernels/api/scale_objective.hpp"
#include "kernels/api/weight_grid.hpp"

namespace shardquant::kernels {

/// How a Hessian becomes a factor. The later ones are for Hessians that the first cannot do.
enum class FactorMethod {
  fp32,      ///< Cholesky in fp32, damping doubled until it succeeds
  fp64,      ///< once in fp64, with the largest damping that fp32 tries
  identity,  ///< R = I, no damping: the sweep becomes round-to-nearest
};

/// Numbers in which the published presets differ.
struct QuantizerSettings {
  double damping = 0.07;        ///< times the mean of the Hessian's diagonal
  double damping_floor = 1e-5;  ///< least value added to the diagonal
  int damping_tries = 9;        ///< factorizations in fp32, each with twice the damping
  double shrink_low = 0.75;     ///< first scale factor tried
  double shrink_high = 1.0;     ///< last scale factor tried
  int shrink_steps = 48;        ///< steps between them; steps + 1 factors are tried
  ScaleRounding scale_rounding = ScaleRounding::reader;
  /// Of the factor that shrinks an EXL2 group's scales; not `simulated`.
  ScaleObjective shrink_objective = ScaleObjective::power_3_5;
  ScaleObjective affine_objective = ScaleObjective::weighted;  ///< of an AffineRecipe's scales
  bool sort_inputs = true;  ///< rows in descending diag(H); false keeps them in the model's order
  FactorMethod factor_method = FactorMethod::fp32;
};

/// A damped Hessian in the form the sweep uses, in the back end's memory.
/// H[perm, perm] + damp I = R R^T with R upper triangular, A = R diag(R)^-1 (unit upper).
struct HessianFactor {
  std::vector<std::int32_t> perm;  ///< [K] perm[k] = original row in place k, see sort_inputs
  Matrix unit_factor;              ///< A: [K, K] fp32 row major; below the diagonal unspecified
  std::vector<float> pivots;       ///< [K] diag(R)
  std::vector<float> diagonal;     ///< [K] of H[perm, perm], undamped
  double damp = 0.0;               ///< added to the diagonal
  int tries = 1;                   ///< Cholesky factorizations attempted, with all methods so far
  FactorMethod method = FactorMethod::fp32;
  std::int64_t dead_inputs = 0;  ///< rows with a zero diagonal; their errors count with damp alone
};

/// How a weight matrix is to be quantized. Row groups, which cover [0, K): EXL2, whose scales are
/// found group by group on the way through the sweep. A recipe: affine, with scales that the back
/// end finds before the sweep. Scales: affine, as they are.
using WeightRecipe = std::variant<std::vector<RowGroup>, AffineRecipe, AffineScales>;

/// What quantizing one layer with one option loses. Sums are taken in double.
struct OptionError {
  double damped_loss = 0.0;   ///< tr(E^T (H + damp I) E), E = W - dequantized, over the H given
  double weight_error = 0.0;  ///< ||E||_F^2
  std::int64_t flushed_groups = 0;  ///< groups, not all zero, whose stored scale underflows to zero
  std::vector<double> row_errors;   ///< ||S_r E||_F^2 per sketch block; empty without sketches

  double loss(double damp) const { return damped_loss - damp * weight_error; }
};

/// A quantized layer before packing, in host memory. Stored (permuted) row order.
struct QuantizedMatrix {
  std::vector<std::uint8_t> codes;  ///< [K, N] row major, q less its least value
  /// [K, N] bits of the dequantized weights that were measured: fp16 of EXL2, fp16 or bf16 of
  /// affine scales with such values, else empty.
  std::vector<std::uint16_t> values;
  std::vector<float> float_values;  ///< the same of affine scales with fp32 values, else empty
  OptionError error;

  // EXL2
  std::vector<RowGroup> groups;           ///< G groups covering K rows
  std::vector<std::uint8_t> scale_codes;  ///< [G, N], c - 1 in 0..15
  std::vector<std::uint16_t> scale_max;   ///< [G] fp16 bits of smax

  // Affine
  AffineScales affine;
};

/// Norms of the unquantized layer's output, the denominators of its options' errors.
struct WeightNorms {
  double damped = 0.0;            ///< tr(W^T (H + damp I) W)
  double weight = 0.0;            ///< ||W||_F^2
  std::vector<double> row_norms;  ///< ||S_r W||_F^2 per sketch block

  double output(double damp) const { return damped - damp * weight; }
};

}  // namespace shardquant::kernels
