#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"

namespace shardquant::kernels {

// The quantizer's verbs of Backend for host memory; contracts in kernels/api/quantizer_ops.hpp.

void accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian, int threads);
HessianFactor factor_hessian(Matrix hessian, const QuantizerSettings& settings);
Matrix permuted_transpose(const HostTensor& weight, std::span<const std::int32_t> perm,
                          int threads);
WeightNorms weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                         ConstMatrixView sketches, std::int64_t sketch_rows, int threads);
AffineScales find_affine_scales(ConstMatrixView weight, const HessianFactor& factor,
                                const AffineRecipe& recipe, const QuantizerSettings& settings,
                                int threads);
std::vector<OptionError> measure_options(ConstMatrixView weight, const HessianFactor& factor,
                                         std::span<const WeightRecipe> options,
                                         const QuantizerSettings& settings,
                                         ConstMatrixView sketches, std::int64_t sketch_rows,
                                         int threads);
QuantizedMatrix quantize_matrix(ConstMatrixView weight, const HessianFactor& factor,
                                const WeightRecipe& option, const QuantizerSettings& settings,
                                int threads);

/// Squared Frobenius norm of sketches[block] * matrix, per block of sketch_rows rows.
/// sketches: [B * sketch_rows, K]; matrix: [K, N]
std::vector<double> sketched_norms(ConstMatrixView sketches, std::int64_t sketch_rows,
                                   ConstMatrixView matrix, int threads);

}  // namespace shardquant::kernels
