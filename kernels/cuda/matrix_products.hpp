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

/// out = beta out + a^T b in fp32. a: [L, M], b: [L, N], out: [M, N]; all three or only b and out
/// repeat `batch` times at the strides given (elements).
struct Batch {
  int count = 1;
  std::int64_t a_stride = 0;
  std::int64_t b_stride = 0;
  std::int64_t out_stride = 0;
};
void multiply_transposed(DeviceContext& context, ConstMatrixView a, ConstMatrixView b, float beta,
                         MatrixView out, const Batch& batch);

}  // namespace shardquant::kernels::cuda
