#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/api/forward_ops.hpp"
#include "kernels/api/matrix.hpp"

/// The kernels of the forward pass; see kernels/cuda/launchers.hpp. All pointers and matrices are
/// device memory unless said otherwise; the work is queued on `stream` and the function returns at
/// once.
/// @throws DeviceError where a launch cannot be made
namespace shardquant::kernels::cuda {

// Contracts in kernels/api/forward_ops.hpp

void launch_rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon, MatrixView out,
                     cudaStream_t stream);
void launch_rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines, ConstMatrixView sines,
                   cudaStream_t stream);
/// Scores [batch, queries, keys] of some queries of a row against some of its keys.
struct ScoreBlock {
  std::int64_t batch = 0;
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t first_query = 0;
  std::int64_t first_key = 0;
  std::int64_t window = 0;  ///< keys outside (query - window, query] get zero
};
/// Softmax in place over the keys. scores: dense
void launch_causal_softmax(float* scores, const ScoreBlock& block, cudaStream_t stream);
void launch_gated_product(MatrixView gate, ConstMatrixView up, Activation activation,
                          cudaStream_t stream);
void launch_soft_cap(MatrixView x, float cap, cudaStream_t stream);
void launch_add(MatrixView x, ConstMatrixView y, cudaStream_t stream);
/// targets: [T]; losses: [T]
void launch_negative_log_likelihood(ConstMatrixView logits, const std::int32_t* targets,
                                    double* losses, cudaStream_t stream);

}  // namespace shardquant::kernels::cuda
