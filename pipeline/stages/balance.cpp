#include "pipeline/stages/balance.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace shardquant::stages {

namespace {

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double mean_over_largest(const std::vector<double>& values) {
  const double most = values.empty() ? 0.0 : *std::max_element(values.begin(), values.end());
  return most > 0.0 ? sum_of(values) / static_cast<double>(values.size()) / most : 1.0;
}

}  // namespace

Balance::Balance(std::string stage, int ranks)
    : stage_(std::move(stage)),
      rank_seconds_(static_cast<std::size_t>(ranks)),
      rank_costs_(static_cast<std::size_t>(ranks)) {}

void Balance::add(int rank, double seconds, double cost) {
  rank_seconds_[static_cast<std::size_t>(rank)] += seconds;
  rank_costs_[static_cast<std::size_t>(rank)] += cost;
  seconds_.push_back(seconds);
  costs_.push_back(cost);
}

double Balance::measured() const {
  return mean_over_largest(rank_seconds_);
}

double Balance::predicted() const {
  return mean_over_largest(rank_costs_);
}

double Balance::error() const {
  const double seconds = sum_of(seconds_);
  const double cost = sum_of(costs_);
  if (seconds <= 0.0 || cost <= 0.0) return 0.0;
  double off = 0.0;
  for (std::size_t i = 0; i < seconds_.size(); ++i) {
    off += std::abs(seconds_[i] - costs_[i] * seconds / cost);
  }
  return off / seconds;
}

std::string Balance::text() const {
  return fmt::format(
      "{}: {:.3f} (mean over largest of {} rank(s); {:.3f} predicted), {} item(s), {:.0f} % off "
      "their predicted share",
      stage_, measured(), rank_seconds_.size(), predicted(), items(), 100.0 * error());
}

void report_balance(const waves::Ranks& ranks, const Balance& balance) {
  if (!ranks.comm.is_root() || balance.items() == 0) return;
  ranks.events.write("balance", balance.stage(),
                     {{"items", balance.items()},
                      {"measured", balance.measured()},
                      {"predicted", balance.predicted()},
                      {"item_error", balance.error()}});
}

}  // namespace shardquant::stages
