#include "pipeline/model/families/llama.hpp"

#include "pipeline/model/families/dense_block.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/read_rope.hpp"

namespace shardquant::model {

namespace {

void read(const formats::JsonNode& config, ModelDescription& model) {
  require_silu(config);
  model.rope = read_rope(config);
  model.qkv_bias = model.o_bias = config.boolean_or("attention_bias", false);
  model.mlp_bias = config.boolean_or("mlp_bias", false);
  model.windows = read_windows(config, model.layers, {});
}

}  // namespace

const Family kLlama{"LlamaForCausalLM", "Llama", 0, false, read, dense_branches};

}  // namespace shardquant::model
