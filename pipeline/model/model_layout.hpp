#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/formats/tensor_info.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/parts/part.hpp"

namespace shardquant::model {

/// One weight matrix that is quantized.
struct LinearLayer {
  std::string key;           ///< "model.layers.3.self_attn.q_proj", "lm_head"
  std::int64_t inputs = 0;   ///< K
  std::int64_t outputs = 0;  ///< N
  bool has_bias = false;
  std::int64_t block = 0;       ///< 0 .. layers - 1; `layers` for the head
  std::int64_t part = 0;        ///< of the block, in the order in which its parts act; head: 0
  std::int64_t group = 0;       ///< index of its Hessian group
  bool is_head = false;         ///< gives the logits
  bool follows_biased = false;  ///< see PartLinear
  formats::Dtype dtype = formats::Dtype::f16;  ///< what the model is kept in

  std::int64_t parameters() const { return inputs * outputs; }
};

/// Linear layers that see the same input, hence share Hessian, permutation and factor.
struct HessianGroup {
  std::int64_t index = 0;
  std::string name;                  ///< block and tag of the input: "model.layers.3.attn_in"
  std::int64_t block = 0;            ///< 0 .. layers - 1; `layers` for the head
  std::int64_t inputs = 0;           ///< K
  std::vector<std::int64_t> layers;  ///< indices into ModelLayout::linear_layers
};

/// A tensor that is not quantized: embedding, norm.
struct PlainTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t block = 0;  ///< -1 for the embedding, `layers` for what follows the last block
  float shift = 0.0f;      ///< added when it is loaded
};

/// A member of the module order: an index into linear_layers or plain_tensors.
struct ModuleRef {
  enum class Kind { linear, plain } kind = Kind::plain;
  std::int64_t index = 0;
};

/// A rotary table that parts of the model share.
struct RopeSpec {
  RopeSettings settings;
  std::int64_t head_dim = 0;

  friend bool operator==(const RopeSpec&, const RopeSpec&) = default;
};

/// Parts side by side on one norm, as a block has them.
struct LaidOutBranch {
  std::int64_t norm = 0;          ///< which of the block's vectors
  std::int64_t norm_behind = -1;  ///< likewise; -1: none
  std::vector<std::shared_ptr<const Part>> parts;
};

/// A transformer block: its parts, and which tensors of the layout are its own.
struct BlockLayout {
  std::string name;  ///< "model.layers.3"
  std::vector<LaidOutBranch> branches;
  std::vector<std::int64_t> linear_layers;  ///< as its parts declared them
  std::vector<std::int64_t> vectors;        ///< into plain_tensors, as they were declared
};

/// A model as data, in module order. The linear layers of the blocks come first, block by block;
/// so do their groups.
struct ModelLayout {
  std::vector<LinearLayer> linear_layers;
  std::vector<HessianGroup> groups;
  std::vector<PlainTensor> plain_tensors;
  std::vector<ModuleRef> modules;
  std::vector<BlockLayout> blocks;
  std::vector<RopeSpec> ropes;
  std::int64_t embedding = 0;   ///< index into plain_tensors
  std::int64_t final_norm = 0;  ///< index into plain_tensors
  std::int64_t head_layer = 0;  ///< index into linear_layers
  std::int64_t head_group = 0;  ///< index into groups

  const LinearLayer& head() const { return linear_layers[static_cast<std::size_t>(head_layer)]; }
  /// How many linear layers the blocks have: linear_layers[0, block_layers()).
  std::int64_t block_layers() const { return head_layer; }
  /// Weights of the linear layers of the blocks: numel of the bit budget.
  std::int64_t block_parameters() const;
  /// Bytes of the tensors of the largest block in fp32.
  std::int64_t block_weight_bytes() const;
  /// Floats per token that running any of the blocks takes beside the stream.
  std::int64_t scratch_floats() const;
  /// Operations per token of a row of `length` in a block, beside its linear layers.
  double part_operations(std::int64_t block, std::int64_t length) const;
  /// The most Hessian groups that one block has.
  std::int64_t most_groups_of_block() const;
};

/// Names and shapes of all parts. Pure. @pre description.family is set
ModelLayout lay_out_model(const ModelDescription& description);

}  // namespace shardquant::model
