#include "pipeline/comm/assign_work.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace shardquant::comm {

std::vector<int> assign_work(std::span<const double> costs, std::span<double> load) {
  std::vector<std::size_t> order(costs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return costs[a] > costs[b]; });
  std::vector<int> owners(costs.size());
  for (const std::size_t item : order) {
    const auto least = std::min_element(load.begin(), load.end());
    *least += costs[item];
    owners[item] = static_cast<int>(least - load.begin());
  }
  return owners;
}

}  // namespace shardquant::comm
