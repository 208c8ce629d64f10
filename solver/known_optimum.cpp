#include "solver/known_optimum.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace shardquant::solver::detail {

namespace {

[[noreturn]] void lost(const std::string& where) {
  throw std::logic_error("the known optimum is lost by " + where);
}

std::vector<std::vector<std::size_t>> items_of_classes(const CoreItems& core, std::size_t classes) {
  std::vector<std::vector<std::size_t>> items(classes);
  for (std::size_t i = 0; i < core.items.size(); ++i) {
    items[core.moves[core.items[i].first_move].group_class].push_back(i);
  }
  return items;
}

std::int64_t move_count(const CoreItem& item) {
  return item.last_move - item.first_move;
}

}  // namespace

KnownOptimum::KnownOptimum(const ReducedProblem& problem, Relaxation::Multiplier multiplier,
                           const BaseSelection& base, std::int64_t slack, const ClassCounts* counts)
    : problem_(problem), base_(base), counts_(counts) {
  if (counts_ == nullptr) return;
  std::int64_t bits = 0;
  std::int64_t loss = 0;
  for (std::size_t c = 0; c < counts_->size(); ++c) {
    const std::int64_t first = problem_.first[problem_.classes[c].representative];
    const ReducedChoice& from = problem_.choices[first + base_.positions[c]];
    for (std::size_t j = 0; j < (*counts_)[c].size(); ++j) {
      const ReducedChoice& to = problem_.choices[first + static_cast<std::int64_t>(j)];
      bits += (*counts_)[c][j] * (to.bits - from.bits);
      loss += (*counts_)[c][j] * (to.loss - from.loss);
    }
  }
  if (bits > slack) throw std::logic_error("the known optimum exceeds the budget");
  excess_ = Wide{loss} * multiplier.bits_part + Wide{slack} * multiplier.loss_part;
}

void KnownOptimum::begin(const CoreItems& core, Wide limit) {
  active_ = excess_ <= limit;
  if (!active_) return;
  bits_after_.assign(core.items.size(), 0);
  loss_after_.assign(core.items.size(), 0);
  const auto make = [&](std::size_t item, const CoreMove& move) {
    bits_after_[item] = move.bits;
    loss_after_[item] = move.loss;
  };

  const auto items = items_of_classes(core, problem_.classes.size());
  for (std::size_t c = 0; c < items.size(); ++c) {
    std::vector<std::int64_t> left = (*counts_)[c];
    left[base_.positions[c]] = 0;
    std::vector<std::size_t> blocks;
    std::vector<std::size_t> full;
    for (const std::size_t i : items[c]) {
      (move_count(core.items[i]) == 1 ? blocks : full).push_back(i);
    }
    // Blocks hold the cheapest move alone; the largest that fits first always works out.
    std::stable_sort(blocks.begin(), blocks.end(), [&](std::size_t a, std::size_t b) {
      return core.moves[core.items[a].first_move].count >
             core.moves[core.items[b].first_move].count;
    });
    for (const std::size_t i : blocks) {
      const CoreMove& move = core.moves[core.items[i].first_move];
      if (left[move.position] < move.count) continue;
      left[move.position] -= move.count;
      make(i, move);
    }
    const bool has_filler =
        core.filler.limit > 0 && core.filler.move.group_class == static_cast<int>(c);
    if (has_filler) {
      std::int64_t& filled = left[core.filler.move.position];
      filled -= std::min(filled, core.filler.limit);
    }
    for (const std::size_t i : full) {
      for (std::int64_t m = core.items[i].first_move; m < core.items[i].last_move; ++m) {
        if (left[core.moves[m].position] == 0) continue;
        --left[core.moves[m].position];
        make(i, core.moves[m]);
        break;
      }
    }
    if (std::any_of(left.begin(), left.end(), [](std::int64_t n) { return n > 0; })) {
      lost("the choice of core items, class " + std::to_string(c));
    }
  }
  for (std::size_t i = 1; i < core.items.size(); ++i) {
    bits_after_[i] += bits_after_[i - 1];
    loss_after_[i] += loss_after_[i - 1];
  }
}

void KnownOptimum::after_item(std::size_t item, const SomeStateWithin& some_state_within) {
  if (active_ && !some_state_within(bits_after_[item], loss_after_[item])) {
    lost("the enumeration, item " + std::to_string(item));
  }
}

void KnownOptimum::at_end(Wide best, Wide limit) const {
  if (excess_ <= limit && best > excess_) lost("the completion of partial selections");
}

ClassCounts count_choices(const ChoiceProblem& problem, const ReducedProblem& reduced,
                          const std::vector<int>& choices) {
  if (choices.size() != problem.groups.size()) {
    throw std::logic_error("the known optimum has another number of groups");
  }
  ClassCounts counts(reduced.classes.size());
  for (std::size_t c = 0; c < counts.size(); ++c) {
    const GroupClass& group_class = reduced.classes[c];
    const std::int64_t first = reduced.first[group_class.representative];
    counts[c].assign(reduced.first[group_class.representative + 1] - first, 0);
    for (std::int64_t m = 0; m < group_class.size; ++m) {
      const int group = reduced.members[group_class.first_member + m];
      const Choice& known = problem.groups[group].at(choices[group]);
      bool found = false;
      for (std::size_t j = 0; j < counts[c].size() && !found; ++j) {
        const int index =
            reduced.choices[reduced.first[group] + static_cast<std::int64_t>(j)].index;
        const Choice& kept = problem.groups[group][index];
        found = kept.bits <= known.bits && kept.loss <= known.loss;
        if (found) ++counts[c][j];
      }
      if (!found) lost("dominance, group " + std::to_string(group));
    }
  }
  return counts;
}

}  // namespace shardquant::solver::detail
