#pragma once

#include <span>
#include <vector>

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/device_context.hpp"

namespace shardquant::kernels::cuda {

// The quantizer's verbs of Backend for device memory; contracts in kernels/api/quantizer_ops.hpp.

WeightNorms weight_norms(DeviceContext& context, ConstMatrixView weight,
                         const HessianFactor& factor, ConstMatrixView sketches,
                         std::int64_t sketch_rows);
/// ||sketches[block] matrix||_F^2 per block of sketch_rows rows. sketches: [B * sketch_rows, K];
/// matrix: [K, N]
std::vector<double> sketched_norms(DeviceContext& context, ConstMatrixView sketches,
                                   std::int64_t sketch_rows, ConstMatrixView matrix);
AffineScales find_affine_scales(DeviceContext& context, ConstMatrixView weight,
                                const HessianFactor& factor, const AffineRecipe& recipe,
                                const QuantizerSettings& settings);
/// As many options at a time as the free memory holds.
/// @throws DeviceOutOfMemory where it does not hold one
std::vector<OptionError> measure_options(DeviceContext& context, ConstMatrixView weight,
                                         const HessianFactor& factor,
                                         std::span<const WeightRecipe> options,
                                         const QuantizerSettings& settings,
                                         ConstMatrixView sketches, std::int64_t sketch_rows);
QuantizedMatrix quantize_matrix(DeviceContext& context, ConstMatrixView weight,
                                const HessianFactor& factor, const WeightRecipe& option,
                                const QuantizerSettings& settings);

}  // namespace shardquant::kernels::cuda
