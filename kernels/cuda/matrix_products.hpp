#pragma once

#include "kernels/cuda/device_context.hpp"

namespace shardquant::kernels::cuda {

/// out = x weight^T (+ bias) on the tensor cores, fp32 sums; contract of Backend::linear.
void linear(DeviceContext& context, ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias,
            MatrixView out);

/// Upper triangle of hessian += scale x^T x on the tensor cores; Backend::accumulate_hessian.
void accumulate_hessian(DeviceContext& context, ConstMatrixView x, float scale, MatrixView hessian);

/// out = a b in fp32.
void multiply(DeviceContext& context, ConstMatrixView a, ConstMatrixView b, MatrixView out);

/// Products of one shape at fixed distances in memory, in elements; 0: the same matrix for all.
struct Batch {
  int count = 1;
  std::int64_t a_stride = 0;
  std::int64_t b_stride = 0;
  std::int64_t out_stride = 0;
};

/// out = beta out + a^T b in fp32, for every member of the batch. a: [L, M], b: [L, N], out: [M,
/// N], the first of each.
void multiply_transposed(DeviceContext& context, ConstMatrixView a, ConstMatrixView b, float beta,
                         MatrixView out, const Batch& batch);

}  // namespace shardquant::kernels::cuda
