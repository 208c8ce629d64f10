#include "pipeline/model/families/dense_block.hpp"

#include <fmt/format.h>

#include "pipeline/model/model_description.hpp"
#include "pipeline/model/parts/gated_mlp.hpp"

namespace shardquant::model {

AttentionSettings attention_of(const ModelDescription& model, std::int64_t block) {
  AttentionSettings attention;
  attention.hidden_size = model.hidden_size;
  attention.heads = model.heads;
  attention.kv_heads = model.kv_heads;
  attention.head_dim = model.head_dim;
  attention.window = model.windows[static_cast<std::size_t>(block)];
  attention.qkv_bias = model.qkv_bias;
  attention.o_bias = model.o_bias;
  attention.qk_norm = model.qk_norm;
  attention.epsilon = static_cast<float>(model.rms_norm_eps);
  attention.norm_shift = model.norm_shift;
  attention.score_scale = model.query_scale;
  attention.rope = model.rope;
  return attention;
}

std::vector<Branch> dense_branches(const ModelDescription& model, std::int64_t block) {
  return {
      {"input_layernorm.weight", {std::make_shared<Attention>(attention_of(model, block))}},
      {"post_attention_layernorm.weight",
       {std::make_shared<GatedMlp>(model.hidden_size, model.intermediate_size, model.mlp_bias)}}};
}

WindowRule qwen_windows(const formats::JsonNode& config) {
  return {config.boolean_or("use_sliding_window", false),
          config.integer_or("max_window_layers", 28, 0, kMaxLayers)};
}

std::vector<std::int64_t> read_windows(const formats::JsonNode& config, std::int64_t layers,
                                       const WindowRule& rule) {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(layers), 0);
  const std::int64_t window = config.integer_or("sliding_window", 0, 1, kMaxPositions);
  const auto types = config.find("layer_types");
  if (types && (!types->is_array() || types->size() != layers)) {
    types->refuse(fmt::format("must be a list of {} entries, one for each layer", layers));
  }
  for (std::int64_t block = 0; block < layers; ++block) {
    bool slides = rule.in_use && block >= rule.first_block;
    if (types) {
      const std::string& type = types->at(block).as_string();
      slides = type == "sliding_attention";
      if (!slides && type != "full_attention") {
        types->at(block).refuse("attention of this type is not supported");
      }
      if (slides && window == 0) types->at(block).refuse("sliding_window is not given");
    }
    if (slides) windows[static_cast<std::size_t>(block)] = window;
  }
  return windows;
}

void require_silu(const formats::JsonNode& config) {
  const std::string activation = config.string_or("hidden_act", "silu");
  if (activation == "silu" || activation == "swish") return;
  config.at("hidden_act")
      .refuse("the activation " + formats::json_quote(activation) +
              " is not supported; known is silu");
}

}  // namespace shardquant::model
