#pragma once

#include "pipeline/model/families/family.hpp"

namespace shardquant::model {

/// LlamaForCausalLM of transformers.
extern const Family kLlama;

}  // namespace shardquant::model
