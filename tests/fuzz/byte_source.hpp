#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shardquant::fuzz {

/// Hands out a fuzzer's bytes as decisions; zeros when they are used up.
class ByteSource {
 public:
  explicit ByteSource(std::string_view bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }
  /// A number in [0, count).
  int below(int count) { return byte() % count; }
  /// True once in `rarity` times.
  bool rarely(int rarity) { return below(rarity) == rarity - 1; }
  std::string_view take(std::size_t count) {
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(part.size());
    return part;
  }

 private:
  std::string_view bytes_;
};

}  // namespace shardquant::fuzz
