#include "pipeline/model/position_limit.hpp"

#include <fmt/format.h>

namespace shardquant::model {

std::string position_warning(const ModelDescription& description, std::int64_t length) {
  const std::int64_t positions = description.max_position_embeddings;
  if (length <= positions) return "";
  return fmt::format(
      "rows of {} tokens, but the model was made for {} positions (max_position_embeddings in {}): "
      "what it does beyond them is not what it does in use; give a length of at most {}",
      length, positions, description.config_file, positions);
}

}  // namespace shardquant::model
