#include "pipeline/model/families/gemma3.hpp"

#include <cmath>

#include "pipeline/model/families/dense_block.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/parts/attention.hpp"
#include "pipeline/model/parts/gated_mlp.hpp"
#include "pipeline/model/read_rope.hpp"

namespace shardquant::model {

namespace {

constexpr double kFullTheta = 1e6;    // of blocks that see all, where config.json has none
constexpr double kWindowTheta = 1e4;  // of blocks with a window

// Every sliding_window_pattern-th block sees all.
std::vector<std::int64_t> windows_by_pattern(const formats::JsonNode& config, std::int64_t layers) {
  const std::int64_t window = config.integer_or("sliding_window", 4096, 1, kMaxPositions);
  const std::int64_t pattern = config.integer_or("sliding_window_pattern", 6, 1, kMaxLayers);
  std::vector<std::int64_t> windows(static_cast<std::size_t>(layers), window);
  for (std::int64_t b = pattern - 1; b < layers; b += pattern) {
    windows[static_cast<std::size_t>(b)] = 0;
  }
  return windows;
}

// Scaling is that of the blocks that see all; transformers 5 keeps both kinds below
// rope_parameters.
void read_ropes(const formats::JsonNode& config, ModelDescription& model) {
  const auto kinds = config.find("rope_parameters");
  const auto full = kinds ? kinds->find("full_attention") : kinds;
  const auto sliding = kinds ? kinds->find("sliding_attention") : kinds;
  if (full && sliding) {
    model.rope = read_rope_parameters(*full, kFullTheta);
    model.window_rope = read_rope_parameters(*sliding, kWindowTheta);
    return;
  }
  model.rope = read_rope(config, kFullTheta);
  model.window_rope = {};
  model.window_rope.theta =
      config.number_or("rope_local_base_freq", kWindowTheta, 1.0, kLargestTheta);
}

void require_gelu(const formats::JsonNode& config) {
  constexpr std::string_view kKnown = "gelu_pytorch_tanh";
  for (const char* name : {"hidden_activation", "hidden_act"}) {
    const auto given = config.find(name);
    if (!given) continue;
    if (given->as_string() != kKnown) {
      given->refuse("the activation " + formats::json_quote(given->as_string()) +
                    " is not supported; known is gelu_pytorch_tanh");
    }
    return;
  }
}

void read(const formats::JsonNode& config, ModelDescription& model) {
  require_gelu(config);
  model.qkv_bias = model.o_bias = config.boolean_or("attention_bias", false);
  model.qk_norm = true;
  model.norm_shift = 1.0f;
  model.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(model.hidden_size)));
  model.logit_cap = static_cast<float>(config.number_or("final_logit_softcapping", 0.0, 1e-3, 1e6));
  model.query_scale = static_cast<float>(
      1.0 / std::sqrt(config.number_or("query_pre_attn_scalar", 256.0, 1e-6, 1e9)));
  model.windows = config.find("layer_types") ? read_windows(config, model.layers, {})
                                             : windows_by_pattern(config, model.layers);
  read_ropes(config, model);
}

std::vector<Branch> branches(const ModelDescription& model, std::int64_t block) {
  AttentionSettings attention = attention_of(model, block);
  if (attention.window > 0) attention.rope = model.window_rope;
  return {{"input_layernorm.weight",
           {std::make_shared<Attention>(attention)},
           "post_attention_layernorm.weight"},
          {"pre_feedforward_layernorm.weight",
           {std::make_shared<GatedMlp>(model.hidden_size, model.intermediate_size, false,
                                       kernels::Activation::gelu_tanh)},
           "post_feedforward_layernorm.weight"}};
}

}  // namespace

const Family kGemma3{"Gemma3ForCausalLM", "Gemma 3", 256, true, read, branches};

}  // namespace shardquant::model
