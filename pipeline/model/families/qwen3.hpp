#pragma once

#include "pipeline/model/families/family.hpp"

namespace shardquant::model {

/// Qwen3ForCausalLM of transformers.
extern const Family kQwen3;

}  // namespace shardquant::model
