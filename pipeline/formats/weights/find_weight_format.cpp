#include "pipeline/formats/weights/weight_formats.hpp"

namespace shardquant::weights {

const WeightFormat* find_weight_format(std::string_view name) {
  for (const WeightFormat* format : weight_formats()) {
    if (format->name() == name) return format;
  }
  return nullptr;
}

std::vector<std::string> weight_format_names() {
  std::vector<std::string> names;
  for (const WeightFormat* format : weight_formats()) names.emplace_back(format->name());
  return names;
}

}  // namespace shardquant::weights
