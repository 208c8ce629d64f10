#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/api/matrix.hpp"
#include "kernels/api/quantizer_types.hpp"
#include "kernels/cuda/quantizer/sweep_types.hpp"

/// The kernels of the quantizer; see kernels/cuda/launchers.hpp. All pointers and matrices are
/// device memory unless said otherwise; the work is queued on `stream` and the function returns at
/// once.
/// @throws DeviceError where a launch cannot be made
namespace shardquant::kernels::cuda {

// Weights

/// out[k][n] = stored[n][perm[k]], zero in the columns from `cols` to the stride of out.
/// stored: [out.cols, out.rows]
void launch_permuted_transpose(const void* stored, ElementType type, const std::int32_t* perm,
                               MatrixView out, cudaStream_t stream);

// Hessian

/// Upper triangle of to += that of from, [n, n].
void launch_add_upper(ConstMatrixView from, MatrixView to, cudaStream_t stream);
void launch_gather_diagonal(ConstMatrixView h, float* diagonal, cudaStream_t stream);
/// out[i][j] = h[order[i]][order[j]], read from h's upper triangle; all of out is written.
void launch_permute_symmetric(ConstMatrixView h, const std::int32_t* order, MatrixView out,
                              cudaStream_t stream);
/// Lower triangle = transpose of the upper one, diagonal = diagonal + damp.
void launch_mirror_damped(MatrixView h, const float* diagonal, float damp, cudaStream_t stream);
/// product = (strict upper triangle of h, its mirror image, diagonal + damp) x. x, product: [n]
void launch_symmetric_product(ConstMatrixView h, const float* diagonal, float damp, const double* x,
                              double* product, cudaStream_t stream);
/// inner = L^T x, product = L inner, L the lower triangle of h. x, inner, product: [n]
void launch_factor_product(ConstMatrixView h, const double* x, double* inner, double* product,
                           cudaStream_t stream);
/// wide = the lower triangle of h, rows without gaps; what lies above the diagonal is left alone.
void launch_widen_lower(ConstMatrixView h, double* wide, cudaStream_t stream);
/// The lower triangle of h = that of wide, rounded; the rest of h is left alone.
void launch_narrow_lower(const double* wide, MatrixView h, cudaStream_t stream);
void launch_set_identity(MatrixView h, cudaStream_t stream);
/// In place: the lower triangle of h holds L; h becomes A = R diag(R)^-1, R the reversal of L, with
/// zeros below the diagonal. pivots: [n] diag(R)
void launch_reverse_to_unit_factor(MatrixView h, const float* pivots, cudaStream_t stream);

// Sums of squares in double, in an order that the shapes alone fix

/// sums[b] = sum over rows [b * rows_per_sum, ...) of weights[row]^2 * |x[row]|^2; weights may be
/// null for 1. sums: [ceil(x.rows / rows_per_sum)]
void launch_squared_sums(ConstMatrixView x, const float* weights, std::int64_t rows_per_sum,
                         double* sums, cudaStream_t stream);

// The sweep, see sweep_types.hpp

/// Corrects the rows of each task's group by the rows of its block before them and, for EXL2,
/// solves for what the scale search sees.
void launch_prepare_group(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                          cudaStream_t stream);
void launch_prepare_group(const SweepData& data, const AffineData& grid, const SweepTasks& tasks,
                          cudaStream_t stream);
/// Per tile and shrink factor: the objective over the group.
void launch_search_shrink(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                          ScaleObjective objective, cudaStream_t stream);
/// Adds the tiles' sums and takes the first least one: the group's scale.
void launch_choose_shrink(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                          cudaStream_t stream);
/// Quantizes the group's rows one after another.
void launch_quantize_columns(const SweepData& data, const Exl2Data& grid, const SweepTasks& tasks,
                             const SweepRecord& record, cudaStream_t stream);
void launch_quantize_columns(const SweepData& data, const AffineData& grid, const SweepTasks& tasks,
                             const SweepRecord& record, cudaStream_t stream);
/// Scales and zeros of every column and group.
void launch_search_affine(const AffineSearchData& data, ScaleObjective objective,
                          cudaStream_t stream);

}  // namespace shardquant::kernels::cuda
