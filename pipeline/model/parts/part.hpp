#pragma once

#include <cstdint>
#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/model/rope_settings.hpp"

namespace shardquant::model {

/// A linear layer as a part declares it.
struct PartLinear {
  std::string name;  ///< below the block: "self_attn.q_proj"
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  bool has_bias = false;
  /// Tag of the input. Layers of a block with one tag see the same numbers: they share a Hessian
  /// group, which is named by it ("attn_in"), and that must be given to all of them in one row.
  std::string input;
  /// Its inputs are, channel by channel, made of outputs of layers that have a bias.
  bool follows_biased = false;
};

/// Takes what parts declare, in the order in which a file lists it. What is returned finds the
/// thing again when the part runs.
class PartTensors {
 public:
  virtual ~PartTensors() = default;

  /// A layer that is quantized.
  virtual std::int64_t linear(const PartLinear& layer) = 0;
  /// A vector that is not, by its name below the block: "self_attn.q_norm.weight". shift: added to
  /// it when it is loaded (norms of families that multiply by 1 + w).
  virtual std::int64_t vector(const std::string& name, std::int64_t size, float shift = 0.0f) = 0;
  /// A rotary table; parts that ask for the same one share it.
  virtual std::int64_t rope(const RopeSettings& settings, std::int64_t head_dim) = 0;
};

/// What a part runs with. T tokens, in whole rows.
class PartRun {
 public:
  virtual ~PartRun() = default;

  virtual kernels::Backend& backend() = 0;
  virtual std::int64_t row_length() const = 0;
  /// x weight^T + bias of a declared layer. x: [T, K], out: [T, N]. The first layer of a tag hands
  /// x on as the input of its Hessian group.
  virtual void linear(std::int64_t layer, kernels::ConstMatrixView x, kernels::MatrixView out) = 0;
  /// A declared vector, [1, size].
  virtual kernels::ConstMatrixView vector(std::int64_t vector) const = 0;
  /// Cosines and sines of a declared table, [row_length, head_dim / 2] each.
  virtual kernels::ConstMatrixView rope_cosines(std::int64_t table) const = 0;
  virtual kernels::ConstMatrixView rope_sines(std::int64_t table) const = 0;
  /// The part's own memory: [T, cols] dense, after the `offset` floats per token before it.
  virtual kernels::MatrixView scratch(std::int64_t offset, std::int64_t cols) = 0;
};

/// A piece of a transformer block that maps a normalized stream to what is added to the stream:
/// attention, an MLP. What a model is made of is said by its parts alone: their tensors and the
/// inputs that layers share; memory and work are sums over parts.
class Part {
 public:
  virtual ~Part() = default;

  /// Called once, when the block is put together.
  virtual void declare(PartTensors& tensors) = 0;
  /// Floats per token that run() takes from PartRun::scratch at most.
  virtual std::int64_t scratch_floats() const = 0;
  /// Floating point operations per token of a row of `length`, beside the linear layers.
  virtual double operations(std::int64_t length) const {
    (void)length;
    return 0.0;
  }
  /// out = part(x), both [T, hidden_size]. Unless the part is alone on its norm, out is not x; a
  /// part therefore writes out when it needs x no more.
  virtual void run(PartRun& run, kernels::ConstMatrixView x, kernels::MatrixView out) const = 0;
};

}  // namespace shardquant::model
