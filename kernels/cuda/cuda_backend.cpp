#include "kernels/cuda/cuda_backend.hpp"

#include <nvtx3/nvToolsExt.h>

#include <array>

#include "kernels/cuda/count_nonfinite.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/forward/causal_attention.hpp"
#include "kernels/cuda/forward/forward_launchers.hpp"
#include "kernels/cuda/launchers.hpp"
#include "kernels/cuda/matrix_products.hpp"
#include "kernels/cuda/profiler_range.hpp"
#include "kernels/cuda/quantizer/factor_hessian.hpp"
#include "kernels/cuda/quantizer/quantize_matrix.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

int pieces_of(ElementType type) {
  switch (type) {
    case ElementType::bf16:
      return 1;
    case ElementType::f16:
      return 2;  // 11 bits of significand in pieces of 8
    case ElementType::f32:
      break;
  }
  return kPiecesOfFloat;
}

std::size_t row_bytes(std::int64_t elements) {
  return static_cast<std::size_t>(elements) * sizeof(float);
}

}  // namespace

CudaBackend::CudaBackend(int device)
    : context_(std::make_shared<DeviceContext>(device, kPiecesOfFloat, 0)) {}

std::string CudaBackend::description() const {
  cudaDeviceProp properties;
  SHARDQUANT_CUDA_TRY(cudaGetDeviceProperties(&properties, context_->device()));
  return "cuda (device " + std::to_string(context_->device()) + ", " + properties.name + ", " +
         std::to_string(properties.totalGlobalMem >> 20) + " MiB)";
}

std::string CudaBackend::device_identity() const {
  std::array<char, 64> text{};
  SHARDQUANT_CUDA_TRY(
      cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), context_->device()));
  return text.data();
}

void CudaBackend::begin_range(const std::string& name) {
  nvtxRangePushA(name.c_str());
}

void CudaBackend::end_range() noexcept {
  nvtxRangePop();
}

Matrix CudaBackend::allocate(std::int64_t rows, std::int64_t cols) {
  return context_->allocate(rows, cols, cols);
}

void CudaBackend::fill_zero(MatrixView matrix) {
  if (matrix.size() == 0) return;
  SHARDQUANT_CUDA_TRY(cudaMemset2DAsync(matrix.data, row_bytes(matrix.stride), 0,
                                        row_bytes(matrix.cols),
                                        static_cast<std::size_t>(matrix.rows), stream()));
}

void CudaBackend::upload(std::span<const float> host, MatrixView matrix) {
  if (matrix.size() == 0) return;
  if (matrix.stride == matrix.cols) {
    context_->upload(std::as_bytes(host.first(static_cast<std::size_t>(matrix.size()))),
                     matrix.data);
    return;
  }
  SHARDQUANT_CUDA_TRY(cudaMemcpy2DAsync(matrix.data, row_bytes(matrix.stride), host.data(),
                                        row_bytes(matrix.cols), row_bytes(matrix.cols),
                                        static_cast<std::size_t>(matrix.rows),
                                        cudaMemcpyHostToDevice, stream()));
  context_->stream().synchronize();
}

void CudaBackend::download(ConstMatrixView matrix, std::span<float> host) {
  if (matrix.size() == 0) return;
  SHARDQUANT_CUDA_TRY(cudaMemcpy2DAsync(host.data(), row_bytes(matrix.cols), matrix.data,
                                        row_bytes(matrix.stride), row_bytes(matrix.cols),
                                        static_cast<std::size_t>(matrix.rows),
                                        cudaMemcpyDeviceToHost, stream()));
  context_->stream().synchronize();
}

Matrix CudaBackend::load_weight(const HostTensor& weight) {
  const ProfilerRange range("load_weight");
  Matrix out = context_->allocate_weight(weight.rows, weight.cols, pieces_of(weight.type));
  const DeviceBuffer<std::byte> stored = context_->upload_stored(weight);
  launch_convert(stored.get(), weight.type, out, stream());
  return out;
}

void CudaBackend::rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon,
                           MatrixView out) {
  launch_rms_norm(x, weight, epsilon, out, stream());
}

void CudaBackend::linear(ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias,
                         MatrixView out) {
  const ProfilerRange range("linear");
  cuda::linear(*context_, x, weight, bias, out);
}

void CudaBackend::multiply(ConstMatrixView a, ConstMatrixView b, MatrixView out) {
  cuda::multiply(*context_, a, b, out);
}

void CudaBackend::rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines,
                         ConstMatrixView sines) {
  launch_rotate(x, heads, cosines, sines, stream());
}

void CudaBackend::causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                                   const AttentionShape& shape, MatrixView out) {
  const ProfilerRange range("causal_attention");
  cuda::causal_attention(*context_, q, k, v, shape, out);
}

void CudaBackend::gated_product(MatrixView gate, ConstMatrixView up, Activation activation) {
  launch_gated_product(gate, up, activation, stream());
}

void CudaBackend::soft_cap(MatrixView x, float cap) {
  launch_soft_cap(x, cap, stream());
}

void CudaBackend::add(MatrixView x, ConstMatrixView y) {
  launch_add(x, y, stream());
}

void CudaBackend::negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                                          std::span<double> losses) {
  if (logits.rows == 0) return;
  const auto rows = static_cast<std::size_t>(logits.rows);
  const auto device_targets = context_->on_device(targets.first(rows));
  DeviceBuffer<double> device_losses(context_->memory(), logits.rows);
  launch_negative_log_likelihood(logits, device_targets.get(), device_losses.get(), stream());
  context_->download(device_losses.get(), losses.first(rows));
}

std::int64_t CudaBackend::count_nonfinite(ConstMatrixView x, std::int64_t& first) {
  return cuda::count_nonfinite(*context_, x, Part::whole, first);
}

void CudaBackend::accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian) {
  const ProfilerRange range("accumulate_hessian");
  cuda::accumulate_hessian(*context_, x, scale, hessian);
}

HessianFactor CudaBackend::factor_hessian(Matrix hessian, const QuantizerSettings& settings) {
  const ProfilerRange range("factor_hessian");
  return cuda::factor_hessian(*context_, std::move(hessian), settings);
}

Matrix CudaBackend::permuted_transpose(const HostTensor& weight,
                                       std::span<const std::int32_t> perm) {
  const ProfilerRange range("permuted_transpose");
  const std::int64_t stride = (weight.rows + kTileColumns - 1) / kTileColumns * kTileColumns;
  Matrix out = context_->allocate(weight.cols, weight.rows, stride);
  const DeviceBuffer<std::byte> stored = context_->upload_stored(weight);
  const auto device_perm = context_->on_device(perm);
  launch_permuted_transpose(stored.get(), weight.type, device_perm.get(), out, stream());
  return out;
}

WeightNorms CudaBackend::weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                                      ConstMatrixView sketches, std::int64_t sketch_rows) {
  const ProfilerRange range("weight_norms");
  return cuda::weight_norms(*context_, weight, factor, sketches, sketch_rows);
}

AffineScales CudaBackend::find_affine_scales(ConstMatrixView weight, const HessianFactor& factor,
                                             const AffineRecipe& recipe,
                                             const QuantizerSettings& settings) {
  const ProfilerRange range("find_affine_scales");
  return cuda::find_affine_scales(*context_, weight, factor, recipe, settings);
}

std::vector<OptionError> CudaBackend::measure_options(
    ConstMatrixView weight, const HessianFactor& factor, std::span<const WeightRecipe> options,
    const QuantizerSettings& settings, ConstMatrixView sketches, std::int64_t sketch_rows) {
  const ProfilerRange range("measure_options");
  return cuda::measure_options(*context_, weight, factor, options, settings, sketches, sketch_rows);
}

QuantizedMatrix CudaBackend::quantize(ConstMatrixView weight, const HessianFactor& factor,
                                      const WeightRecipe& option,
                                      const QuantizerSettings& settings) {
  const ProfilerRange range("quantize");
  return quantize_matrix(*context_, weight, factor, option, settings);
}

}  // namespace shardquant::kernels::cuda
