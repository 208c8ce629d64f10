#pragma once

#include "pipeline/model/parts/part.hpp"

namespace shardquant::model {

/// down_proj(activation(gate_proj x) * up_proj x), below "mlp.": gate and up see "mlp_in", down
/// "down_in".
class GatedMlp final : public Part {
 public:
  GatedMlp(std::int64_t hidden_size, std::int64_t intermediate_size, bool has_bias,
           kernels::Activation activation = kernels::Activation::silu)
      : hidden_size_(hidden_size),
        intermediate_size_(intermediate_size),
        has_bias_(has_bias),
        activation_(activation) {}

  void declare(PartTensors& tensors) override;
  std::int64_t scratch_floats() const override { return 2 * intermediate_size_; }
  void run(PartRun& run, kernels::ConstMatrixView x, kernels::MatrixView out) const override;

 private:
  std::int64_t hidden_size_;
  std::int64_t intermediate_size_;
  bool has_bias_;
  kernels::Activation activation_;
  std::int64_t gate_ = 0, up_ = 0, down_ = 0;
};

}  // namespace shardquant::model
