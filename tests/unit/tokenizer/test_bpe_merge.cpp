#include <gtest/gtest.h>

#include <random>

#include "pipeline/tokenizer/bpe_merge.hpp"

namespace shardquant::tokenizer {
namespace {

// The rule itself, looking at every pair each time.
void merge_plainly(const PairTable& merges, std::vector<std::int32_t>& symbols) {
  while (true) {
    std::size_t best = 0;
    std::uint64_t value = PairTable::kNone;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const std::uint64_t here = merges.find(symbols[i], symbols[i + 1]);
      if (here != PairTable::kNone && (value == PairTable::kNone || here >> 32 < value >> 32)) {
        best = i;
        value = here;
      }
    }
    if (value == PairTable::kNone) return;
    symbols[best] = static_cast<std::int32_t>(value & 0xFFFFFFFF);
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(merge_symbols, does_as_the_rule_says_for_short_and_long_lists) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    PairTable merges(40);
    for (std::int32_t rank = 0; rank < 40; ++rank) {
      const auto left = static_cast<std::int32_t>(random() % 12);
      const auto right = static_cast<std::int32_t>(random() % 12);
      merges.insert(left, right, merge_value(rank, static_cast<std::int32_t>(random() % 12)));
    }
    std::vector<std::int32_t> symbols(1 + random() % 90);
    for (auto& symbol : symbols) symbol = static_cast<std::int32_t>(random() % 6);
    std::vector<std::int32_t> plain = symbols;
    merge_plainly(merges, plain);
    merge_symbols(merges, symbols);
    ASSERT_EQ(symbols, plain) << "round " << round;
  }
}

}  // namespace
}  // namespace shardquant::tokenizer
