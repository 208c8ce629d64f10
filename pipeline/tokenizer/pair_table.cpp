#include "pipeline/tokenizer/pair_table.hpp"

#include <bit>

namespace shardquant::tokenizer {

PairTable::PairTable(std::int64_t pairs)
    : slots_(std::bit_ceil(static_cast<std::size_t>(2 * pairs + 2))), mask_(slots_.size() - 1) {}

void PairTable::insert(std::int32_t left, std::int32_t right, std::uint64_t value) {
  const std::uint64_t key = key_of(left, right);
  std::size_t slot = first_slot(key);
  while (slots_[slot].key != kNone && slots_[slot].key != key) slot = (slot + 1) & mask_;
  if (slots_[slot].key == kNone) slots_[slot] = {key, value};
}

}  // namespace shardquant::tokenizer
