#include "pipeline/comm/assign_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace shardquant::comm {
namespace {

std::vector<int> assign(const std::vector<double>& costs, int ranks) {
  std::vector<double> load(static_cast<std::size_t>(ranks));
  return assign_work(costs, load);
}

std::vector<double> loads_of(const std::vector<double>& costs, const std::vector<int>& owners,
                             int ranks) {
  std::vector<double> load(static_cast<std::size_t>(ranks));
  for (std::size_t i = 0; i < costs.size(); ++i) {
    load[static_cast<std::size_t>(owners[i])] += costs[i];
  }
  return load;
}

// The least possible maximum load, by trying all assignments.
double best_makespan(const std::vector<double>& costs, int ranks, std::size_t item,
                     std::vector<double>& load) {
  if (item == costs.size()) return *std::max_element(load.begin(), load.end());
  double best = 1e300;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(ranks); ++rank) {
    load[rank] += costs[item];
    best = std::min(best, best_makespan(costs, ranks, item + 1, load));
    load[rank] -= costs[item];
    if (load[rank] == 0.0) break;  // empty ranks are all alike
  }
  return best;
}

TEST(AssignWork, CostliestGoesFirstToTheLeastLoaded) {
  EXPECT_EQ(assign({1, 5, 3, 4}, 2), (std::vector<int>{0, 0, 1, 1}));
}

TEST(AssignWork, TiesGoToLowerIndexAndLowerRank) {
  EXPECT_EQ(assign({2, 2, 2, 2, 2}, 3), (std::vector<int>{0, 1, 2, 0, 1}));
  EXPECT_EQ(assign({0, 0, 0}, 2), (std::vector<int>{0, 0, 0}));
}

TEST(AssignWork, NoItemsAndMoreRanksThanItems) {
  EXPECT_TRUE(assign({}, 4).empty());
  EXPECT_EQ(assign({1, 2}, 5), (std::vector<int>{1, 0}));
}

TEST(AssignWork, OneRankOwnsAll) {
  EXPECT_EQ(assign({3, 1, 2}, 1), (std::vector<int>{0, 0, 0}));
}

TEST(AssignWork, EarlierLoadIsEvenedOut) {
  std::vector<double> load = {10, 0, 4};
  const std::vector<double> costs = {5, 5, 5};
  EXPECT_EQ(assign_work(costs, load), (std::vector<int>{1, 2, 1}));
  EXPECT_EQ(load, (std::vector<double>{10, 10, 9}));
}

TEST(AssignWork, EqualInputsGiveEqualOwners) {
  std::mt19937_64 random(11);
  std::vector<double> costs(500);
  for (double& cost : costs) cost = static_cast<double>(random() % 7);
  EXPECT_EQ(assign(costs, 9), assign(costs, 9));
}

TEST(AssignWork, StaysWithinFourThirdsOfTheOptimum) {
  std::mt19937_64 random(3);
  for (int instance = 0; instance < 2000; ++instance) {
    const int ranks = 2 + static_cast<int>(random() % 3);
    std::vector<double> costs(1 + random() % 7);
    for (double& cost : costs) cost = 1.0 + static_cast<double>(random() % 20);
    const auto load = loads_of(costs, assign(costs, ranks), ranks);
    std::vector<double> scratch(static_cast<std::size_t>(ranks));
    const double best = best_makespan(costs, ranks, 0, scratch);
    // Graham 1969: (4/3 - 1/(3 m)) times the optimum.
    ASSERT_LE(*std::max_element(load.begin(), load.end()),
              (4.0 / 3.0 - 1.0 / (3.0 * ranks)) * best + 1e-9);
  }
}

TEST(AssignWork, BlocksOfALargeModelAreSpreadEvenly) {
  // 80 blocks of q/k/v, o, gate/up, down with about the costs of Llama-2-70B.
  std::vector<double> costs;
  for (int block = 0; block < 80; ++block) costs.insert(costs.end(), {12.0, 9.0, 40.0, 130.0});
  for (const int ranks : {2, 8, 16, 64}) {
    const auto load = loads_of(costs, assign(costs, ranks), ranks);
    const double mean = std::accumulate(load.begin(), load.end(), 0.0) / ranks;
    EXPECT_LE(*std::max_element(load.begin(), load.end()), 1.10 * mean) << ranks;
  }
}

}  // namespace
}  // namespace shardquant::comm
