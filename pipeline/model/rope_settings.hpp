#pragma once

#include <cstdint>

namespace shardquant::model {

/// How positions are stretched; `none` is plain RoPE.
enum class RopeScalingKind { none, linear, llama3 };

/// Rotary embedding of config.json, as read_rope resolves it.
struct RopeSettings {
  double theta = 10000.0;
  RopeScalingKind scaling = RopeScalingKind::none;
  double factor = 1.0;                                ///< linear, llama3
  double low_freq_factor = 1.0;                       ///< llama3
  double high_freq_factor = 4.0;                      ///< llama3
  std::int64_t original_max_position_embeddings = 0;  ///< llama3

  friend bool operator==(const RopeSettings&, const RopeSettings&) = default;
};

}  // namespace shardquant::model
