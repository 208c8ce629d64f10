#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/tokenizer/pair_table.hpp"

namespace shardquant::tokenizer {

/// Value of a merge in a PairTable: its rank above, the id it makes below.
inline std::uint64_t merge_value(std::int64_t rank, std::int32_t id) {
  return static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint32_t>(id);
}

/// Joins neighbours of `symbols` until none can be: always those of the lowest rank, of several the
/// leftmost. O(n log n) for long lists, without any allocation for short ones.
void merge_symbols(const PairTable& merges, std::vector<std::int32_t>& symbols);

}  // namespace shardquant::tokenizer
