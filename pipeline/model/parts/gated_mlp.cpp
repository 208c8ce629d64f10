#include "pipeline/model/parts/gated_mlp.hpp"

namespace shardquant::model {

void GatedMlp::declare(PartTensors& tensors) {
  gate_ = tensors.linear({"mlp.gate_proj", hidden_size_, intermediate_size_, has_bias_, "mlp_in"});
  up_ = tensors.linear({"mlp.up_proj", hidden_size_, intermediate_size_, has_bias_, "mlp_in"});
  down_ = tensors.linear(
      {"mlp.down_proj", intermediate_size_, hidden_size_, has_bias_, "down_in", has_bias_});
}

void GatedMlp::run(PartRun& run, kernels::ConstMatrixView x, kernels::MatrixView out) const {
  const kernels::MatrixView gate = run.scratch(0, intermediate_size_);
  const kernels::MatrixView up = run.scratch(intermediate_size_, intermediate_size_);
  run.linear(gate_, x, gate);
  run.linear(up_, x, up);
  run.backend().gated_product(gate, up, activation_);
  run.linear(down_, gate, out);
}

}  // namespace shardquant::model
