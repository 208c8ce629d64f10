#pragma once

#include "pipeline/model/families/family.hpp"

namespace shardquant::model {

/// MistralForCausalLM of transformers.
extern const Family kMistral;

}  // namespace shardquant::model
