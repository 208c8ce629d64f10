#include "solver/core_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "solver/known_optimum.hpp"

namespace shardquant::solver::detail {

namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
// A first limit this much below the excess of the first selection costs next to nothing and is
// often enough; doubling from there never enumerates much more than it has to.
constexpr int kFirstLimitDivisor = 4096;
// Half a unit in the last place of a double: a bound this close to the loss rounds to the loss.
constexpr double kRounding = 0x1p-53;
// Up to this many further moves, what they can reach is counted move by move.
constexpr int kMovesCounted = 4;

// Changes against the base; `path` leads to the moves made, `move` is one not yet on that path.
struct State {
  std::int64_t bits = 0;
  std::int64_t loss = 0;
  std::uint32_t path = kNone;
  std::uint32_t move = kNone;
};

struct PathNode {
  std::uint32_t previous = kNone;
  std::uint32_t move = kNone;
};

// What the items from some place on can do.
struct Reach {
  std::int64_t up = 0;       // bits that they add at most, all together
  std::int64_t down = 0;     // and take away, negative
  std::int64_t up_once = 0;  // the same for a single move
  std::int64_t down_once = 0;
  Wide least_excess = 0;  // of a move; items are sorted by it
};

class Search {
 public:
  Search(const ReducedProblem& problem, Relaxation::Multiplier multiplier, std::int64_t slack,
         const SearchLimits& limits)
      : problem_(problem), multiplier_(multiplier), slack_(slack), limits_(limits) {
    result_.excess = Wide{multiplier_.loss_part} * slack_;
  }

  SearchResult run(const BaseSelection& base, const ClassCounts* known_optimum);

 private:
  Wide excess_of(const State& state) const {
    return Wide{state.loss} * multiplier_.bits_part + Wide{state.bits} * multiplier_.loss_part;
  }
  bool good_enough() const { return limits_.good_enough(result_.excess, result_.proven); }

  bool can_end_well(const State& state, const Reach& rest) const;
  bool enumerate(Wide limit, KnownOptimum* known_optimum);
  void set_reach();
  void keep_open(std::vector<State>& states, const Reach& rest) const;
  void shift(const std::vector<State>& states, std::uint32_t move, const Reach& rest);
  void merge_shifted(std::vector<State>& states);
  void combine(std::vector<State>& states, const CoreItem& item, const Reach& rest);
  void settle(std::vector<State>& states);
  void consider(const State& state);
  bool truncate(std::vector<State>& states) const;

  const ReducedProblem& problem_;
  const Relaxation::Multiplier multiplier_;
  const std::int64_t slack_;  // capacity left by the base
  const SearchLimits limits_;
  SearchResult result_;

  CoreItems core_;
  std::vector<Reach> reach_;  // [items + 1]
  Wide limit_ = 0;            // of the running enumeration; falls with every better selection
  std::vector<PathNode> paths_;
  std::vector<State> before_item_;
  std::vector<State> shifted_;
  std::vector<State> merged_;
};

void Search::set_reach() {
  reach_.assign(core_.items.size() + 1, {});
  reach_.back().least_excess = limit_ + 1;
  for (std::size_t i = core_.items.size(); i-- > 0;) {
    const CoreItem& item = core_.items[i];
    std::int64_t up = 0;
    std::int64_t down = 0;
    for (std::int64_t m = item.first_move; m < item.last_move; ++m) {
      up = std::max(up, core_.moves[m].bits);
      down = std::min(down, core_.moves[m].bits);
    }
    const Reach& rest = reach_[i + 1];
    reach_[i] = {rest.up + up, rest.down + down, std::max(rest.up_once, up),
                 std::min(rest.down_once, down), core_.moves[item.first_move].excess};
  }
}

// Whether the rest could turn the state into a selection within capacity and limit. Each further
// move costs at least rest.least_excess, which bounds how many there can be.
bool Search::can_end_well(const State& state, const Reach& rest) const {
  const Wide excess = excess_of(state);
  std::int64_t up = 0;
  std::int64_t down = 0;
  Wide cost = rest.least_excess;
  for (int moves = 0; moves < kMovesCounted && excess + cost <= limit_; ++moves) {
    cost += rest.least_excess;
    const bool uncounted = moves + 1 == kMovesCounted;
    up = uncounted ? rest.up : std::min(rest.up, up + rest.up_once);
    down = uncounted ? rest.down : std::max(rest.down, down + rest.down_once);
  }
  if (state.bits + down > slack_) return false;
  const std::int64_t filled = core_.filler.limit * core_.filler.move.bits;
  const std::int64_t unused = std::max<std::int64_t>(0, slack_ - state.bits - up - filled);
  return excess + Wide{multiplier_.loss_part} * unused <= limit_;
}

// Drops states that have no move left or cannot end well.
void Search::keep_open(std::vector<State>& states, const Reach& rest) const {
  std::erase_if(states, [&](const State& state) {
    return excess_of(state) + rest.least_excess > limit_ || !can_end_well(state, rest);
  });
}

void Search::shift(const std::vector<State>& states, std::uint32_t move, const Reach& rest) {
  shifted_.clear();
  const CoreMove& by = core_.moves[move];
  for (const State& state : states) {
    const State next{state.bits + by.bits, state.loss + by.loss, state.path, move};
    if (next.bits + rest.down > slack_) break;  // states are sorted by bits
    if (can_end_well(next, rest)) shifted_.push_back(next);
  }
}

// Both lists have rising bits and falling losses, and so has the result: what has more bits and
// no less loss than another is left out; the older one stays where two are equal.
void Search::merge_shifted(std::vector<State>& states) {
  merged_.clear();
  auto a = states.begin();
  auto b = shifted_.begin();
  while (a != states.end() || b != shifted_.end()) {
    const bool take_a =
        b == shifted_.end() ||
        (a != states.end() && (a->bits < b->bits || (a->bits == b->bits && a->loss <= b->loss)));
    const State& next = take_a ? *a++ : *b++;
    if (merged_.empty() || next.loss < merged_.back().loss) merged_.push_back(next);
  }
  states.swap(merged_);
}

void Search::combine(std::vector<State>& states, const CoreItem& item, const Reach& rest) {
  // Every move starts from the states before the item: what a move of this item dominates may still
  // be the only start of another one.
  const bool several = item.last_move - item.first_move > 1;
  if (several) before_item_ = states;
  for (std::int64_t m = item.first_move; m < item.last_move; ++m) {
    shift(several ? before_item_ : states, static_cast<std::uint32_t>(m), rest);
    merge_shifted(states);
  }
}

// Completes a partial selection by the filler alone.
void Search::consider(const State& state) {
  const std::int64_t room = slack_ - state.bits;
  if (room < 0) return;
  const FillerMove& filler = core_.filler;
  std::int64_t fills = 0;
  if (filler.limit > 0) fills = std::min(filler.limit, room / filler.move.bits);
  const std::int64_t unused = room - fills * filler.move.bits;
  const Wide excess = excess_of(state) + Wide{multiplier_.loss_part} * unused;
  if (excess >= result_.excess) return;

  result_.excess = excess;
  limit_ = std::min(limit_, excess - 1);
  result_.deviations.clear();
  if (fills > 0) {
    result_.deviations.push_back({filler.move.group_class, filler.move.position, fills});
  }
  for (std::uint32_t node = state.path; node != kNone; node = paths_[node].previous) {
    const CoreMove& move = core_.moves[paths_[node].move];
    result_.deviations.push_back({move.group_class, move.position, move.count});
  }
}

void Search::settle(std::vector<State>& states) {
  for (State& state : states) {
    if (state.move == kNone) continue;
    paths_.push_back({state.path, state.move});
    state.path = static_cast<std::uint32_t>(paths_.size() - 1);
    state.move = kNone;
    consider(state);
  }
}

// Keeps the most promising states where there are too many; true if that was so.
bool Search::truncate(std::vector<State>& states) const {
  const auto most = static_cast<std::size_t>(limits_.max_states);
  if (states.size() <= most) return false;
  std::nth_element(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(most), states.end(),
                   [this](const State& a, const State& b) {
                     const Wide excess_a = excess_of(a);
                     const Wide excess_b = excess_of(b);
                     return excess_a != excess_b ? excess_a < excess_b : a.bits < b.bits;
                   });
  states.resize(most);
  std::sort(states.begin(), states.end(),
            [](const State& a, const State& b) { return a.bits < b.bits; });
  return true;
}

// Looks at every selection of excess <= limit; false if some had to be left out.
bool Search::enumerate(Wide limit, KnownOptimum* known_optimum) {
  limit_ = limit;
  paths_.clear();
  set_reach();
  if (known_optimum != nullptr) known_optimum->begin(core_, limit);
  bool complete = true;
  std::vector<State> states{State{}};
  consider(states.front());
  for (std::size_t i = 0; i < core_.items.size() && !good_enough(); ++i) {
    keep_open(states, reach_[i]);
    combine(states, core_.items[i], reach_[i + 1]);
    settle(states);
    if (truncate(states)) complete = false;
    if (known_optimum != nullptr && complete && result_.excess > known_optimum->excess()) {
      known_optimum->after_item(i, [&](std::int64_t bits, std::int64_t loss) {
        return std::any_of(states.begin(), states.end(), [&](const State& state) {
          return state.bits <= bits && state.loss <= loss;
        });
      });
    }
    if (static_cast<std::int64_t>(paths_.size()) > limits_.max_states) return false;
  }
  if (known_optimum != nullptr && complete && !good_enough()) {
    known_optimum->at_end(result_.excess, limit);
  }
  return complete;
}

SearchResult Search::run(const BaseSelection& base, const ClassCounts* known_counts) {
  KnownOptimum known_optimum(problem_, multiplier_, base, slack_, known_counts);
  KnownOptimum* known = known_counts == nullptr ? nullptr : &known_optimum;

  core_ = make_core_items(problem_, moves_within(problem_, multiplier_, base, 0), 0);
  consider(State{});
  const std::vector<CoreMove> moves = moves_within(problem_, multiplier_, base, result_.excess);
  Wide limit = result_.excess / kFirstLimitDivisor;
  while (!good_enough()) {
    limit = std::min(limit, result_.excess - 1);
    const Wide best_before = result_.excess;
    core_ = make_core_items(problem_, moves, limit);
    const bool complete = enumerate(limit, known);
    if (good_enough()) break;
    if (complete) {
      result_.proven = std::min(limit + 1, result_.excess);
      limit = 2 * limit + 1;
    } else if (result_.excess == best_before) {
      break;
    }
  }
  return std::move(result_);
}

}  // namespace

bool SearchLimits::good_enough(Wide excess, Wide proven) const {
  if (excess <= proven) return true;
  const long double loss = loss_without_excess + static_cast<long double>(excess) * loss_per_excess;
  const long double gap = static_cast<long double>(excess - proven) * loss_per_excess;
  return gap <= std::max(tolerance, kRounding) * std::abs(loss);
}

SearchResult search_core(const ReducedProblem& problem, Relaxation::Multiplier multiplier,
                         const BaseSelection& base, std::int64_t capacity,
                         const SearchLimits& limits, const ClassCounts* known_optimum) {
  Search search(problem, multiplier, capacity - base.bits, limits);
  return search.run(base, known_optimum);
}

}  // namespace shardquant::solver::detail
