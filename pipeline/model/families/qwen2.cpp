#include "pipeline/model/families/qwen2.hpp"

#include "pipeline/model/families/dense_block.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/read_rope.hpp"

namespace shardquant::model {

namespace {

void read(const formats::JsonNode& config, ModelDescription& model) {
  require_silu(config);
  model.rope = read_rope(config);
  model.qkv_bias = true;
  model.windows = read_windows(config, model.layers, qwen_windows(config));
}

}  // namespace

const Family kQwen2{"Qwen2ForCausalLM", "Qwen2", 0, false, read, dense_branches};

}  // namespace shardquant::model
