#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shardquant::allocation {

/// A layer's key in parts: "model.layers.12.self_attn.q_proj" is the part "self_attn.q_proj" of
/// block 12, "model.layers.12".
struct LayerName {
  std::string block;                  ///< all up to the first number; empty if there is none
  std::optional<std::int64_t> index;  ///< that number
  std::string part;                   ///< what follows it; the whole key if there is none
};

LayerName split_layer_key(std::string_view key);

}  // namespace shardquant::allocation
