#include "kernels/cpu/cpu_backend.hpp"

#include <cblas.h>

#include <algorithm>

#include "kernels/cpu/allocate_matrix.hpp"
#include "kernels/cpu/forward/forward_kernels.hpp"
#include "kernels/cpu/quantizer/group_kernels.hpp"
#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

CpuBackend::CpuBackend(int threads) : threads_(threads) {
  // OpenBLAS splits a product differently for every thread count; one thread per call, and our own
  // pieces of fixed size, keep results independent of it.
  openblas_set_num_threads(1);
}

std::string CpuBackend::description() const {
  return std::string("cpu (") + select_group_kernels().name + ", OpenBLAS " +
         openblas_get_corename() + ", " + std::to_string(threads_) +
         (threads_ == 1 ? " thread)" : " threads)");
}

Matrix CpuBackend::allocate(std::int64_t rows, std::int64_t cols) {
  return allocate_matrix(rows, cols, cols);
}

void CpuBackend::fill_zero(MatrixView matrix) {
  for (std::int64_t i = 0; i < matrix.rows; ++i) std::fill_n(matrix.row(i), matrix.cols, 0.0f);
}

void CpuBackend::upload(std::span<const float> host, MatrixView matrix) {
  for (std::int64_t i = 0; i < matrix.rows; ++i) {
    std::copy_n(host.data() + i * matrix.cols, matrix.cols, matrix.row(i));
  }
}

void CpuBackend::download(ConstMatrixView matrix, std::span<float> host) {
  for (std::int64_t i = 0; i < matrix.rows; ++i) {
    std::copy_n(matrix.row(i), matrix.cols, host.data() + i * matrix.cols);
  }
}

Matrix CpuBackend::load_weight(const HostTensor& weight) {
  return kernels::load_weight(weight, threads_);
}

void CpuBackend::rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon,
                          MatrixView out) {
  kernels::rms_norm(x, weight, epsilon, out, threads_);
}

void CpuBackend::linear(ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias,
                        MatrixView out) {
  kernels::linear(x, weight, bias, out, threads_);
}

void CpuBackend::multiply(ConstMatrixView a, ConstMatrixView b, MatrixView out) {
  kernels::multiply(a, b, out);
}

void CpuBackend::rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines,
                        ConstMatrixView sines) {
  kernels::rotate(x, heads, cosines, sines, threads_);
}

void CpuBackend::causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                                  const AttentionShape& shape, MatrixView out) {
  kernels::causal_attention(q, k, v, shape, out, threads_);
}

void CpuBackend::gated_product(MatrixView gate, ConstMatrixView up, Activation activation) {
  kernels::gated_product(gate, up, activation, threads_);
}

void CpuBackend::soft_cap(MatrixView x, float cap) {
  kernels::soft_cap(x, cap, threads_);
}

void CpuBackend::add(MatrixView x, ConstMatrixView y) {
  kernels::add(x, y, threads_);
}

void CpuBackend::negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                                         std::span<double> losses) {
  kernels::negative_log_likelihood(logits, targets, losses, threads_);
}

std::int64_t CpuBackend::count_nonfinite(ConstMatrixView x, std::int64_t& first) {
  return kernels::count_nonfinite(x, first, threads_);
}

void CpuBackend::accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian) {
  kernels::accumulate_hessian(x, scale, hessian, threads_);
}

HessianFactor CpuBackend::factor_hessian(Matrix hessian, const QuantizerSettings& settings) {
  return kernels::factor_hessian(std::move(hessian), settings);
}

Matrix CpuBackend::permuted_transpose(const HostTensor& weight,
                                      std::span<const std::int32_t> perm) {
  return kernels::permuted_transpose(weight, perm, threads_);
}

WeightNorms CpuBackend::weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                                     ConstMatrixView sketches, std::int64_t sketch_rows) {
  return kernels::weight_norms(weight, factor, sketches, sketch_rows, threads_);
}

AffineScales CpuBackend::find_affine_scales(ConstMatrixView weight, const HessianFactor& factor,
                                            const AffineRecipe& recipe,
                                            const QuantizerSettings& settings) {
  return kernels::find_affine_scales(weight, factor, recipe, settings, threads_);
}

std::vector<OptionError> CpuBackend::measure_options(
    ConstMatrixView weight, const HessianFactor& factor, std::span<const WeightRecipe> options,
    const QuantizerSettings& settings, ConstMatrixView sketches, std::int64_t sketch_rows) {
  return kernels::measure_options(weight, factor, options, settings, sketches, sketch_rows,
                                  threads_);
}

QuantizedMatrix CpuBackend::quantize(ConstMatrixView weight, const HessianFactor& factor,
                                     const WeightRecipe& option,
                                     const QuantizerSettings& settings) {
  return quantize_matrix(weight, factor, option, settings, threads_);
}

std::string cpu_blas_library() {
  return openblas_get_config();
}

}  // namespace shardquant::kernels
