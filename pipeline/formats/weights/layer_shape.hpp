#pragma once

#include <cstdint>
#include <string>

#include "pipeline/formats/tensor_info.hpp"

namespace shardquant::weights {

/// What a weight format has to know of a linear layer y = W x + b, W [outputs, inputs].
struct LayerShape {
  std::string key;  ///< "model.layers.0.mlp.up_proj", the beginning of its tensors' names
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  bool has_bias = false;
  formats::Dtype dtype = formats::Dtype::f16;  ///< f16, bf16 or f32: what the model is kept in
  /// Its inputs are, channel by channel, made of outputs of layers that have a bias.
  bool follows_biased = false;

  std::int64_t parameters() const { return inputs * outputs; }
};

}  // namespace shardquant::weights
