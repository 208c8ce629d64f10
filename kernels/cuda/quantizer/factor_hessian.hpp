#pragma once

#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/device_context.hpp"

namespace shardquant::kernels::cuda {

/// Contract of Backend::factor_hessian. Holds two [K, K] matrices while it permutes, one after.
HessianFactor factor_hessian(DeviceContext& context, Matrix hessian,
                             const QuantizerSettings& settings);

}  // namespace shardquant::kernels::cuda
