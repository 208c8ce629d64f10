#pragma once

#include <memory>

#include "kernels/api/backend.hpp"
#include "kernels/cuda/device_context.hpp"

namespace shardquant::kernels::cuda {

/// The back end on one NVIDIA GPU. Products of the forward pass and of the Hessian run on the
/// tensor cores over bf16 pieces of the numbers with fp32 sums; the sweep's run in fp32. Matrices
/// may outlive it.
class CudaBackend final : public Backend {
 public:
  /// device: of those visible to this process. @throws DeviceError
  explicit CudaBackend(int device);

  std::string description() const override;
  std::string device_identity() const override;
  void begin_range(const std::string& name) override;
  void end_range() noexcept override;
  const std::shared_ptr<DeviceContext>& context() const { return context_; }

  Matrix allocate(std::int64_t rows, std::int64_t cols) override;
  void fill_zero(MatrixView matrix) override;
  void upload(std::span<const float> host, MatrixView matrix) override;
  void download(ConstMatrixView matrix, std::span<float> host) override;
  Matrix load_weight(const HostTensor& weight) override;

  void rms_norm(ConstMatrixView x, ConstMatrixView weight, float epsilon, MatrixView out) override;
  void linear(ConstMatrixView x, ConstMatrixView weight, ConstMatrixView bias,
              MatrixView out) override;
  void multiply(ConstMatrixView a, ConstMatrixView b, MatrixView out) override;
  void rotate(MatrixView x, std::int64_t heads, ConstMatrixView cosines,
              ConstMatrixView sines) override;
  void causal_attention(ConstMatrixView q, ConstMatrixView k, ConstMatrixView v,
                        const AttentionShape& shape, MatrixView out) override;
  void gated_product(MatrixView gate, ConstMatrixView up, Activation activation) override;
  void soft_cap(MatrixView x, float cap) override;
  void add(MatrixView x, ConstMatrixView y) override;
  void negative_log_likelihood(MatrixView logits, std::span<const std::int32_t> targets,
                               std::span<double> losses) override;
  std::int64_t count_nonfinite(ConstMatrixView x, std::int64_t& first) override;

  void accumulate_hessian(ConstMatrixView x, float scale, MatrixView hessian) override;
  HessianFactor factor_hessian(Matrix hessian, const QuantizerSettings& settings) override;
  Matrix permuted_transpose(const HostTensor& weight, std::span<const std::int32_t> perm) override;
  WeightNorms weight_norms(ConstMatrixView weight, const HessianFactor& factor,
                           ConstMatrixView sketches, std::int64_t sketch_rows) override;
  AffineScales find_affine_scales(ConstMatrixView weight, const HessianFactor& factor,
                                  const AffineRecipe& recipe,
                                  const QuantizerSettings& settings) override;
  std::vector<OptionError> measure_options(ConstMatrixView weight, const HessianFactor& factor,
                                           std::span<const WeightRecipe> options,
                                           const QuantizerSettings& settings,
                                           ConstMatrixView sketches,
                                           std::int64_t sketch_rows) override;
  QuantizedMatrix quantize(ConstMatrixView weight, const HessianFactor& factor,
                           const WeightRecipe& option, const QuantizerSettings& settings) override;

 private:
  cudaStream_t stream() const { return context_->stream().get(); }

  std::shared_ptr<DeviceContext> context_;
};

}  // namespace shardquant::kernels::cuda
