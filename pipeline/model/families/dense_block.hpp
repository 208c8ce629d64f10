#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/model/families/family.hpp"
#include "pipeline/model/parts/attention.hpp"

namespace shardquant::model {

/// The block of Llama and its kin: attention, then a gated MLP, each on a norm of its own, with
/// what the description says of biases, windows and q/k norms.
std::vector<Branch> dense_branches(const ModelDescription& model, std::int64_t block);

/// What the description says of the attention of a block.
AttentionSettings attention_of(const ModelDescription& model, std::int64_t block);

/// Where a family has sliding windows when config.json has no layer_types.
struct WindowRule {
  bool in_use = false;
  std::int64_t first_block = 0;  ///< with a window; those before see all
};

/// Qwen: use_sliding_window and max_window_layers.
WindowRule qwen_windows(const formats::JsonNode& config);

/// By block: tokens a query sees, 0: all. layer_types where given, else by the rule.
/// @throws Failure(bad_data) naming the field
std::vector<std::int64_t> read_windows(const formats::JsonNode& config, std::int64_t layers,
                                       const WindowRule& rule);

/// @throws Failure(bad_data) where hidden_act is another activation
void require_silu(const formats::JsonNode& config);

}  // namespace shardquant::model
