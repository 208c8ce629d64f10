#pragma once

#include "pipeline/model/families/family.hpp"

namespace shardquant::model {

/// Gemma3ForCausalLM of transformers, the text model.
extern const Family kGemma3;

}  // namespace shardquant::model
