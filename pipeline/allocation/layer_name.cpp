#include "pipeline/allocation/layer_name.hpp"

#include <algorithm>
#include <charconv>

namespace shardquant::allocation {

LayerName split_layer_key(std::string_view key) {
  for (std::size_t begin = 0; begin < key.size();) {
    const std::size_t end = std::min(key.find('.', begin), key.size());
    std::int64_t index = 0;
    const auto result = std::from_chars(key.data() + begin, key.data() + end, index);
    if (end > begin && result.ec == std::errc{} && result.ptr == key.data() + end && index >= 0) {
      return {std::string(key.substr(0, end)), index,
              std::string(key.substr(std::min(end + 1, key.size())))};
    }
    begin = end + 1;
  }
  return {{}, std::nullopt, std::string(key)};
}

}  // namespace shardquant::allocation
