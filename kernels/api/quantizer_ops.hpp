#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/matrix.hpp"
#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels {

/// GPTQ (arXiv:2210.17323) in a device's memory: K inputs, N outputs; results do not depend on the
/// number of threads.
class QuantizerOps {
 public:
  virtual ~QuantizerOps() = default;

  /// Upper triangle of hessian += scale x^T x. x: [T, K]; hessian: [K, K], below the diagonal
  /// untouched
  virtual void accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian) = 0;
  /// H[perm, perm] + damp I = R R^T, inputs by descending diag(H) if settings.sort_inputs, with
  /// settings.factor_method. hessian: [K, K], upper triangle read, consumed (its memory becomes the
  /// factor). A zero on the diagonal is taken as 1. With a fixed x of +-1, a
  /// factor of which ||R R^T x - (H + damp I) x|| > 1e-2 ||(H + damp I) x|| counts as none.
  /// @throws NotPositiveDefinite when the method finds no factor; NumericalError with the first
  /// index and the count, where the upper triangle holds NaN or infinity
  virtual HessianFactor factor_hessian(Matrix hessian, const QuantizerSettings& settings) = 0;
  /// W = permuted transpose of a stored weight: [N, K] -> [K, N], row k = column perm[k], in the
  /// layout that the calls below take (a back end may pad the stride; the padding is zero).
  virtual Matrix permuted_transpose(const HostTensor& weight,
                                    std::span<const std::int32_t> perm) = 0;
  /// Denominators for the errors of `weight` [K, N]. sketches: [B * sketch_rows, K] in permuted
  /// column order, or empty; block r is rows [r * sketch_rows, (r + 1) * sketch_rows).
  virtual WeightNorms weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                                   ConstMatrixView sketches, std::int64_t sketch_rows) = 0;
  /// Scales of `recipe` for `weight` [K, N] permuted, as settings.affine_objective has them,
  /// rounded to the recipe's value type: per column and group of inputs, from the weights as they
  /// are, since the sweep meets a group's rows scattered among others.
  /// @throws std::invalid_argument for bits other than 2 to 8 or a negative group size
  virtual AffineScales find_affine_scales(ConstMatrixView weight, const HessianFactor& factor,
                                          const AffineRecipe& recipe,
                                          const QuantizerSettings& settings) = 0;
  /// Error of every option on `weight` [K, N] permuted. Of EXL2 options shared beginnings are
  /// quantized once. @throws std::invalid_argument where an option does not fit the
  /// matrix, or the back end cannot hold its groups (CUDA: K and groups in multiples of 32)
  virtual std::vector<OptionError> measure_options(
      ConstMatrixView weight, const HessianFactor& factor, std::span<const WeightRecipe> options,
      const QuantizerSettings& settings, ConstMatrixView sketches, std::int64_t sketch_rows) = 0;
  /// The same sweep for one option, with its codes.
  virtual QuantizedMatrix quantize(ConstMatrixView weight, const HessianFactor& factor,
                                   const WeightRecipe& option,
                                   const QuantizerSettings& settings) = 0;
};

}  // namespace shardquant::kernels
