#pragma once

#include "kernels/api/forward_ops.hpp"
#include "kernels/cuda/device_context.hpp"

namespace shardquant::kernels::cuda {

/// Contract of Backend::causal_attention. Holds the scores of at most 256 queries, for all heads.
void causal_attention(DeviceContext& context, ConstMatrixView q, ConstMatrixView k,
                      ConstMatrixView v, const AttentionShape& shape, MatrixView out);

}  // namespace shardquant::kernels::cuda
