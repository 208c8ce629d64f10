#include "solver/relaxation.hpp"

#include <algorithm>
#include <numeric>

namespace shardquant::solver::detail {

namespace {

// Exact comparison of slopes: a saves more per bit than b.
bool more_efficient(const HullEdge& a, const HullEdge& b) {
  return Wide{a.loss} * b.bits > Wide{b.loss} * a.bits;
}

void append_hull_edges(const ReducedProblem& problem, int group_class,
                       std::vector<HullEdge>& edges) {
  const int group = problem.classes[group_class].representative;
  const std::size_t begin_of_class = edges.size();
  for (std::int64_t i = problem.first[group] + 1; i < problem.first[group + 1]; ++i) {
    HullEdge edge;
    edge.bits = problem.choices[i].bits - problem.choices[i - 1].bits;
    edge.loss = problem.choices[i - 1].loss - problem.choices[i].loss;
    edge.group_class = group_class;
    // An edge steeper than the one before it swallows it: the point between lies above the hull.
    while (edges.size() > begin_of_class && !more_efficient(edges.back(), edge)) {
      edge.bits += edges.back().bits;
      edge.loss += edges.back().loss;
      edges.pop_back();
    }
    edges.push_back(edge);
  }
}

// Rounded keys bring all edges within a unit in the last place of where they belong; the exact
// comparison then moves them the rest of the way at next to no cost.
void sort_by_efficiency(std::vector<HullEdge>& edges) {
  for (HullEdge& edge : edges) {
    edge.efficiency = static_cast<double>(edge.loss) / static_cast<double>(edge.bits);
  }
  std::stable_sort(edges.begin(), edges.end(), [](const HullEdge& a, const HullEdge& b) {
    return a.efficiency > b.efficiency;
  });
  for (std::size_t i = 1; i < edges.size(); ++i) {
    for (std::size_t j = i; j > 0 && more_efficient(edges[j], edges[j - 1]); --j) {
      std::swap(edges[j], edges[j - 1]);
    }
  }
}

}  // namespace

Relaxation::Relaxation(const ReducedProblem& problem) {
  edges_.reserve(problem.classes.size() * 4);
  for (std::size_t c = 0; c < problem.classes.size(); ++c) {
    append_hull_edges(problem, static_cast<int>(c), edges_);
  }
  sort_by_efficiency(edges_);
  bits_through_.reserve(edges_.size());
  std::int64_t bits = 0;
  for (const HullEdge& edge : edges_) {
    bits += edge.bits * problem.classes[edge.group_class].size;
    bits_through_.push_back(bits);
  }
}

Relaxation::Multiplier Relaxation::multiplier(std::int64_t capacity) const {
  const auto place = std::upper_bound(bits_through_.begin(), bits_through_.end(), capacity);
  if (place == bits_through_.end()) return {};
  const HullEdge& edge = edges_[static_cast<std::size_t>(place - bits_through_.begin())];
  const std::int64_t divisor = std::gcd(edge.loss, edge.bits);
  return {edge.loss / divisor, edge.bits / divisor};
}

}  // namespace shardquant::solver::detail
