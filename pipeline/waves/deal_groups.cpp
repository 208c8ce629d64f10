#include "pipeline/waves/deal_groups.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <queue>

#include "pipeline/comm/assign_work.hpp"

namespace shardquant::waves {

namespace {

// Cutting a group costs a transfer of its Hessian and work done twice: not for less than this.
constexpr double kWorthCutting = 0.95;
// Halvings of the interval in which the least limit is looked for.
constexpr int kSearchSteps = 16;

struct Dealt {
  std::vector<GroupPart> parts;
  double most = 0.0;  // cost of the rank that has most
};

double cost_of(const GroupUnits& group, std::int64_t first, std::int64_t end) {
  return operations_of(group.work(first, end));
}

Dealt deal_whole(std::span<const GroupUnits> groups, int ranks) {
  std::vector<double> costs;
  for (const GroupUnits& group : groups) costs.push_back(cost_of(group, 0, group.count()));
  std::vector<double> load(static_cast<std::size_t>(ranks));
  const std::vector<int> owners = comm::assign_work(costs, load);
  Dealt dealt;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    dealt.parts.push_back({groups[i].group, 0, groups[i].count(), owners[i], costs[i]});
  }
  dealt.most = *std::max_element(load.begin(), load.end());
  return dealt;
}

// Ranks by load, the least first, ties to the lower rank.
class Loads {
 public:
  explicit Loads(int ranks) {
    for (int rank = 0; rank < ranks; ++rank) queue_.push({0.0, rank});
  }
  std::pair<double, int> least() const { return queue_.top(); }
  void add_to_least(double cost) {
    auto [load, rank] = queue_.top();
    queue_.pop();
    queue_.push({load + cost, rank});
    most_ = std::max(most_, load + cost);
  }
  double most() const { return most_; }

 private:
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  double most_ = 0.0;
};

// The end of the longest run of units from `first` on that costs no more than `room`; cost: its.
std::int64_t longest_run(const GroupUnits& group, std::int64_t first, double room, double& cost) {
  double sum = operations_of(group.setup);
  bool begun = false;
  cost = 0.0;
  std::int64_t end = first;
  for (; end < group.count(); ++end) {
    const GroupUnits::Unit& unit = group.units[static_cast<std::size_t>(end)];
    if (!unit.wanted) continue;
    const double more = sum + operations_of(begun ? unit.after : unit.first);
    if (more > room) break;
    cost = sum = more;
    begun = true;
  }
  return end;
}

// The costliest single unit, with what a run of it alone needs.
double coarseness(const GroupUnits& group) {
  double most = 0.0;
  for (const GroupUnits::Unit& unit : group.units) {
    if (unit.wanted) most = std::max(most, operations_of(unit.first));
  }
  return most + operations_of(group.setup);
}

// Fills the ranks up to `limit` each, cutting groups where they do not fit: those of coarse units
// first, so that the fine ones fill what they leave. Nothing where the limit is too low.
std::optional<Dealt> fill(std::span<const GroupUnits> groups,
                          const std::vector<std::size_t>& coarse_first, int ranks, double limit) {
  Loads loads(ranks);
  std::vector<std::vector<GroupPart>> parts(groups.size());
  for (const std::size_t g : coarse_first) {
    const GroupUnits& group = groups[g];
    for (std::int64_t first = 0; first < group.count();) {
      const auto [load, rank] = loads.least();
      double cost = 0.0;
      const std::int64_t end = longest_run(group, first, limit - load, cost);
      if (end == first || (cost == 0.0 && end < group.count())) return std::nullopt;
      parts[g].push_back({group.group, first, end, rank, cost});
      loads.add_to_least(cost);
      first = end;
    }
  }
  Dealt dealt;
  dealt.most = loads.most();
  for (auto& of_group : parts) {
    dealt.parts.insert(dealt.parts.end(), of_group.begin(), of_group.end());
  }
  return dealt;
}

}  // namespace

std::vector<GroupPart> deal_groups(std::span<const GroupUnits> groups, int ranks) {
  if (groups.empty()) return {};
  Dealt whole = deal_whole(groups, ranks);
  double sum = 0.0;
  for (const GroupPart& part : whole.parts) sum += part.cost;
  double low = sum / ranks;
  double high = whole.most;
  if (low >= kWorthCutting * high) return std::move(whole.parts);

  std::vector<std::size_t> coarse_first(groups.size());
  std::iota(coarse_first.begin(), coarse_first.end(), std::size_t{0});
  std::vector<double> coarse;
  for (const GroupUnits& group : groups) coarse.push_back(coarseness(group));
  std::stable_sort(coarse_first.begin(), coarse_first.end(),
                   [&](std::size_t a, std::size_t b) { return coarse[a] > coarse[b]; });
  std::optional<Dealt> best;
  for (int step = 0; step < kSearchSteps; ++step) {
    const double limit = (low + high) / 2.0;
    auto dealt = fill(groups, coarse_first, ranks, limit);
    (dealt ? high : low) = limit;
    if (dealt && (!best || dealt->most < best->most)) best = std::move(dealt);
  }
  if (!best || best->most > kWorthCutting * whole.most) return std::move(whole.parts);
  return std::move(best->parts);
}

}  // namespace shardquant::waves
