#pragma once

#include <cstdint>
#include <span>

#include "kernels/api/forward_ops.hpp"

namespace shardquant::kernels {

// The forward verbs of Backend for host memory; contracts in kernels/api/forward_ops.hpp. Work is
// cut into pieces whose borders depend on the shapes alone, so results are the same bytes for any
// `threads`. OpenBLAS must be held at one thread.

void rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon, MatrixView out,
              int threads);
void linear(ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias, MatrixView out,
            int threads);
void multiply(ConstMatrixView a, ConstMatrixView b, MatrixView out);
void rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines, ConstMatrixView sines,
            int threads);
/// Holds 64 * row_length floats per thread beside its arguments.
void causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                      const AttentionShape& shape, MatrixView out, int threads);
void gated_product(MatrixView gate, ConstMatrixView up, Activation activation, int threads);
void soft_cap(MatrixView x, float cap, int threads);
void add(MatrixView x, ConstMatrixView y, int threads);
void negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                             std::span<double> losses, int threads);
std::int64_t count_nonfinite(ConstMatrixView x, std::int64_t& first, int threads);
/// Dense [N, K] fp32 of a stored weight. @throws DeviceOutOfMemory
Matrix load_weight(const HostTensor& weight, int threads);

}  // namespace shardquant::kernels
