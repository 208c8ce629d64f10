// A family of its own, as GPT-J has its blocks: attention and MLP side by side on one norm. It is
// this file and a row of families.cpp.
#include "pipeline/model/families/dense_block.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/parts/attention.hpp"
#include "pipeline/model/parts/gated_mlp.hpp"
#include "pipeline/model/read_rope.hpp"

namespace shardquant::model {

namespace {

void read(const formats::JsonNode& config, ModelDescription& model) {
  require_silu(config);
  model.rope = read_rope(config);
  model.windows = read_windows(config, model.layers, {});
}

std::vector<Branch> branches(const ModelDescription& model, std::int64_t) {
  AttentionSettings attention;
  attention.hidden_size = model.hidden_size;
  attention.heads = model.heads;
  attention.kv_heads = model.kv_heads;
  attention.head_dim = model.head_dim;
  attention.rope = model.rope;
  return {{"input_layernorm.weight",
           {std::make_shared<Attention>(attention),
            std::make_shared<GatedMlp>(model.hidden_size, model.intermediate_size, false)}}};
}

}  // namespace

extern const Family kSideBySide;
const Family kSideBySide{"SideBySideForCausalLM", "SideBySide", 0, false, read, branches};

}  // namespace shardquant::model
