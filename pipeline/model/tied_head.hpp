#pragma once

#include <string>

#include "pipeline/model/source_model.hpp"

namespace shardquant::model {

/// What is to be told of a model whose config.json ties the head to the embedding while it stores a
/// head that differs (it is used, and the two are not tied then); empty for all others. Reads both
/// as far as they are equal. @throws Failure as read_floats
std::string tied_head_warning(const SourceModel& model);

}  // namespace shardquant::model
