#include "solver/core_items.hpp"

#include <algorithm>

namespace shardquant::solver::detail {

namespace {

Wide lagrangian(const ReducedChoice& choice, Relaxation::Multiplier multiplier) {
  return Wide{choice.loss} * multiplier.bits_part + Wide{choice.bits} * multiplier.loss_part;
}

std::int64_t times_within(Wide limit, Wide excess, std::int64_t most) {
  if (excess == 0) return most;
  const Wide times = limit / excess;
  return times < most ? static_cast<std::int64_t>(times) : most;
}

CoreMove repeated(const CoreMove& move, std::int64_t count) {
  CoreMove result = move;
  result.excess *= count;
  result.bits *= count;
  result.loss *= count;
  result.count = count;
  return result;
}

void append_item(CoreItems& core, const CoreMove* begin, const CoreMove* end) {
  CoreItem item;
  item.first_move = static_cast<std::int64_t>(core.moves.size());
  core.moves.insert(core.moves.end(), begin, end);
  item.last_move = static_cast<std::int64_t>(core.moves.size());
  core.items.push_back(item);
}

// Blocks of 1, 2, 4, ... and a rest: every count from 0 to `limit` is a sum of some of them.
void append_blocks(CoreItems& core, const CoreMove& move, std::int64_t limit) {
  for (std::int64_t block = 1; limit > 0; block *= 2) {
    const std::int64_t count = std::min(block, limit);
    const CoreMove repeated_move = repeated(move, count);
    append_item(core, &repeated_move, &repeated_move + 1);
    limit -= count;
  }
}

void append_class(CoreItems& core, const CoreMove* begin, const CoreMove* end,
                  std::int64_t class_size, Wide limit) {
  std::int64_t full_items = 0;
  if (end - begin >= 2) full_items = times_within(limit, begin[1].excess, class_size);
  for (std::int64_t i = 0; i < full_items; ++i) append_item(core, begin, end);

  const CoreMove& cheapest = *begin;
  const std::int64_t alone = times_within(limit, cheapest.excess, class_size - full_items);
  if (alone == 0) return;
  if (cheapest.excess == 0 && core.filler.limit == 0) {
    core.filler = {cheapest, alone};
  } else {
    append_blocks(core, cheapest, alone);
  }
}

}  // namespace

BaseSelection base_selection(const ReducedProblem& problem, Relaxation::Multiplier multiplier) {
  BaseSelection base;
  base.positions.reserve(problem.classes.size());
  for (const GroupClass& group_class : problem.classes) {
    const std::int64_t first = problem.first[group_class.representative];
    const std::int64_t last = problem.first[group_class.representative + 1];
    std::int64_t best = first;
    Wide best_value = lagrangian(problem.choices[first], multiplier);
    for (std::int64_t i = first + 1; i < last; ++i) {
      const Wide value = lagrangian(problem.choices[i], multiplier);
      if (value < best_value) {
        best_value = value;
        best = i;
      }
    }
    base.positions.push_back(static_cast<int>(best - first));
    base.bits += problem.choices[best].bits * group_class.size;
    base.loss += problem.choices[best].loss * group_class.size;
  }
  return base;
}

std::vector<CoreMove> moves_within(const ReducedProblem& problem, Relaxation::Multiplier multiplier,
                                   const BaseSelection& base, Wide limit) {
  std::vector<CoreMove> moves;
  for (std::size_t c = 0; c < problem.classes.size(); ++c) {
    const std::int64_t first = problem.first[problem.classes[c].representative];
    const std::int64_t last = problem.first[problem.classes[c].representative + 1];
    const ReducedChoice& from = problem.choices[first + base.positions[c]];
    const Wide base_value = lagrangian(from, multiplier);
    const std::size_t begin_of_class = moves.size();
    for (std::int64_t i = first; i < last; ++i) {
      const ReducedChoice& to = problem.choices[i];
      const Wide excess = lagrangian(to, multiplier) - base_value;
      if (i - first == base.positions[c] || excess > limit) continue;
      moves.push_back({excess, to.bits - from.bits, to.loss - from.loss, static_cast<int>(c),
                       static_cast<int>(i - first), 1});
    }
    std::stable_sort(moves.begin() + static_cast<std::ptrdiff_t>(begin_of_class), moves.end(),
                     [](const CoreMove& a, const CoreMove& b) { return a.excess < b.excess; });
  }
  return moves;
}

CoreItems make_core_items(const ReducedProblem& problem, const std::vector<CoreMove>& moves,
                          Wide limit) {
  CoreItems core;
  for (std::size_t begin = 0; begin < moves.size();) {
    std::size_t end = begin;
    std::size_t within = begin;
    while (end < moves.size() && moves[end].group_class == moves[begin].group_class) {
      if (moves[end].excess <= limit) within = end + 1;
      ++end;
    }
    if (within > begin) {
      append_class(core, &moves[begin], &moves[begin] + (within - begin),
                   problem.classes[moves[begin].group_class].size, limit);
    }
    begin = end;
  }
  std::stable_sort(core.items.begin(), core.items.end(),
                   [&core](const CoreItem& a, const CoreItem& b) {
                     return core.moves[a.first_move].excess < core.moves[b.first_move].excess;
                   });
  return core;
}

}  // namespace shardquant::solver::detail
