#pragma once

#include <cstdint>
#include <string>

#include "pipeline/model/model_description.hpp"

namespace shardquant::model {

/// What is to be told of rows of `length` tokens where the model was made for fewer positions
/// (max_position_embeddings); empty where they fit.
std::string position_warning(const ModelDescription& description, std::int64_t length);

}  // namespace shardquant::model
