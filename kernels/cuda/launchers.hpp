#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/api/matrix.hpp"

/// One plain function per kernel. All pointers and matrices are device memory unless said
/// otherwise; the work is queued on `stream` and the function returns at once.
/// @throws DeviceError where a launch cannot be made
namespace shardquant::kernels::cuda {

// Memory and conversions

/// out = bits of a stored tensor as fp32, dense [rows, cols]. stored: aligned to its element
void launch_convert(const void* stored, ElementType type, MatrixView out, cudaStream_t stream);
/// x = sum of `pieces` bf16 planes, each the rounding of what the former ones left. Plane p begins
/// at p * rows * plane_stride; columns from cols to plane_stride are zero.
void launch_split(ConstMatrixView x, int pieces, std::int64_t plane_stride, std::uint16_t* planes,
                  cudaStream_t stream);
/// out[t] = bias[0] for every t
void launch_fill_rows(ConstMatrixView bias, MatrixView out, cudaStream_t stream);

// Numbers that are none

/// Blocks that launch_count_nonfinite cuts a matrix into.
constexpr int kCountBlocks = 256;
/// What of a matrix is looked at.
enum class Part { whole, upper_triangle };
/// counts, firsts: [kCountBlocks]; firsts: least flat index, or x.size()
void launch_count_nonfinite(ConstMatrixView x, Part part, std::int64_t* counts,
                            std::int64_t* firsts, cudaStream_t stream);

}  // namespace shardquant::kernels::cuda
