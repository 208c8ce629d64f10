#pragma once

#include <cstdint>
#include <vector>

namespace shardquant::tokenizer {

/// Pairs of ids, each with a value; open addressing, never shrinks.
class PairTable {
 public:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  /// Room for `pairs` pairs. @pre pairs >= 0
  explicit PairTable(std::int64_t pairs);

  /// Stores a value unless the pair has one. @pre ids >= 0, value != kNone, room is left
  void insert(std::int32_t left, std::int32_t right, std::uint64_t value);
  /// The value of a pair, or kNone.
  std::uint64_t find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t slot = first_slot(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return slots_[slot].value;
      if (slots_[slot].key == kNone) return kNone;
    }
  }
  bool contains(std::int32_t left, std::int32_t right) const { return find(left, right) != kNone; }

 private:
  struct Slot {
    std::uint64_t key = kNone;
    std::uint64_t value = kNone;
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t first_slot(std::uint64_t key) const {
    constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;
    key ^= key >> 29;
    return (key * kGoldenRatio >> 20) & mask_;
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
};

}  // namespace shardquant::tokenizer
