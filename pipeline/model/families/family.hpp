#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/model/parts/part.hpp"

namespace shardquant::model {

struct ModelDescription;

/// Parts that see the stream through one norm, side by side, and add to it:
/// stream += part(norm(stream)) for every part, all from the same norm. With a norm behind it, a
/// branch has one part: stream += norm_behind(part(norm(stream))).
struct Branch {
  std::string norm;  ///< of its weight [hidden_size], below the block: "input_layernorm.weight"
  std::vector<std::shared_ptr<Part>> parts;
  std::string norm_behind = {};  ///< likewise; empty: none
};

/// A family of models: what config.json says beyond what all have, and what a block is made of.
struct Family {
  std::string_view architecture;      ///< of config.json: "LlamaForCausalLM"
  std::string_view name;              ///< for people: "Llama"
  std::int64_t default_head_dim = 0;  ///< where config.json has none; 0: hidden_size / heads
  bool ties_embeddings = false;       ///< where config.json does not say

  /// Takes the family's own fields of config.json; those that all have are there.
  /// @throws Failure(bad_data) naming the field
  void (*read)(const formats::JsonNode& config, ModelDescription& model) = nullptr;
  /// The block's branches, in the order in which they act on the stream. Pure.
  std::vector<Branch> (*branches)(const ModelDescription& model, std::int64_t block) = nullptr;
};

}  // namespace shardquant::model
