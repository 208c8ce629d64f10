#include "pipeline/tokenizer/bpe_merge.hpp"

#include <algorithm>
#include <array>
#include <queue>

namespace shardquant::tokenizer {

namespace {

constexpr std::size_t kShort = 32;  // up to here looking at all pairs is faster than a heap

std::int32_t id_of_merge(std::uint64_t value) {
  return static_cast<std::int32_t>(value & 0xFFFFFFFF);
}

void merge_short(const PairTable& merges, std::vector<std::int32_t>& symbols) {
  std::size_t count = symbols.size();
  std::array<std::uint64_t, kShort> pairs;  // the merge of each symbol with the next
  for (std::size_t i = 0; i + 1 < count; ++i) pairs[i] = merges.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    const auto best =
        std::min_element(pairs.begin(), pairs.begin() + static_cast<std::ptrdiff_t>(count - 1),
                         [](std::uint64_t a, std::uint64_t b) { return a >> 32 < b >> 32; });
    if (*best == PairTable::kNone) break;
    const auto at = static_cast<std::size_t>(best - pairs.begin());
    symbols[at] = id_of_merge(*best);
    for (std::size_t i = at + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      pairs[i - 1] = pairs[i];
    }
    --count;
    if (at > 0) pairs[at - 1] = merges.find(symbols[at - 1], symbols[at]);
    if (at + 1 < count) pairs[at] = merges.find(symbols[at], symbols[at + 1]);
  }
  symbols.resize(count);
}

struct Candidate {
  std::uint64_t value;
  std::int64_t place;  // of the left symbol
  std::int32_t left, right;

  bool operator>(const Candidate& other) const {
    const std::uint64_t rank = value >> 32;
    const std::uint64_t other_rank = other.value >> 32;
    return rank != other_rank ? rank > other_rank : place > other.place;
  }
};

class LongMerge {
 public:
  LongMerge(const PairTable& merges, std::vector<std::int32_t>& symbols)
      : merges_(merges),
        symbols_(symbols),
        next_(symbols.size()),
        previous_(symbols.size()),
        end_(std::ssize(symbols)) {
    for (std::int64_t i = 0; i < end_; ++i) {
      next_[i] = i + 1;
      previous_[i] = i - 1;
    }
  }

  void run() {
    for (std::int64_t i = 0; i + 1 < end_; ++i) offer(i);
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      apply(best);
    }
    std::size_t count = 0;
    for (std::int64_t i = 0; i < end_; i = next_[i]) symbols_[count++] = symbols_[i];
    symbols_.resize(count);
  }

 private:
  static constexpr std::int32_t kGone = -1;

  void offer(std::int64_t place) {
    const std::int64_t right = next_[place];
    if (right >= end_) return;
    const std::uint64_t value = merges_.find(symbols_[place], symbols_[right]);
    if (value != PairTable::kNone) queue_.push({value, place, symbols_[place], symbols_[right]});
  }

  // Does nothing where one of the two was merged elsewhere meanwhile.
  void apply(const Candidate& candidate) {
    const std::int64_t place = candidate.place;
    const std::int64_t right = next_[place];
    if (symbols_[place] != candidate.left || right >= end_ || symbols_[right] != candidate.right) {
      return;
    }
    symbols_[place] = id_of_merge(candidate.value);
    symbols_[right] = kGone;
    next_[place] = next_[right];
    if (next_[place] < end_) previous_[next_[place]] = place;
    offer(place);
    if (previous_[place] >= 0) offer(previous_[place]);
  }

  const PairTable& merges_;
  std::vector<std::int32_t>& symbols_;
  std::vector<std::int64_t> next_, previous_;
  std::int64_t end_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace

void merge_symbols(const PairTable& merges, std::vector<std::int32_t>& symbols) {
  if (symbols.size() <= kShort) {
    merge_short(merges, symbols);
  } else {
    LongMerge(merges, symbols).run();
  }
}

}  // namespace shardquant::tokenizer
