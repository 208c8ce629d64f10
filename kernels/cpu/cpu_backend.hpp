#pragma once

#include "kernels/api/backend.hpp"

namespace shardquant::kernels {

/// The back end on the host's processor: OpenBLAS held at one thread, OpenMP over pieces of fixed
/// size.
class CpuBackend final : public Backend {
 public:
  /// threads: at least 1.
  explicit CpuBackend(int threads);

  std::string description() const override;

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
  int threads_;
};

/// OpenBLAS's version, build options and the processor whose kernels it chose.
std::string cpu_blas_library();

}  // namespace shardquant::kernels
