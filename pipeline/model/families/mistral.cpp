#include "pipeline/model/families/mistral.hpp"

#include "pipeline/model/families/dense_block.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/read_rope.hpp"

namespace shardquant::model {

namespace {

void read(const formats::JsonNode& config, ModelDescription& model) {
  require_silu(config);
  model.rope = read_rope(config);
  model.windows = read_windows(config, model.layers, {.in_use = true});
}

}  // namespace

const Family kMistral{"MistralForCausalLM", "Mistral", 0, false, read, dense_branches};

}  // namespace shardquant::model
