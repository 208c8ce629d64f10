#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace shardquant::tokenizer {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

/// Map from text that may be searched by views.
template <class Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

}  // namespace shardquant::tokenizer
