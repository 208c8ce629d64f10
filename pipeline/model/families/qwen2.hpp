#pragma once

#include "pipeline/model/families/family.hpp"

namespace shardquant::model {

/// Qwen2ForCausalLM of transformers.
extern const Family kQwen2;

}  // namespace shardquant::model
