#include "pipeline/evaluation/token_mean.hpp"

#include <cmath>
#include <limits>

namespace shardquant::evaluation {

TokenMean mean_over_rows(std::span<const RowSum> rows) {
  TokenMean all;
  all.rows = std::ssize(rows);
  double sum = 0.0;
  for (const RowSum& row : rows) {
    sum += row.sum;
    all.tokens += row.tokens;
  }
  const auto tokens = static_cast<double>(all.tokens);
  all.mean = sum / tokens;
  if (all.rows < 2) {
    all.standard_error = std::numeric_limits<double>::quiet_NaN();
    return all;
  }
  double squares = 0.0;
  for (const RowSum& row : rows) {
    const double rest = row.sum - all.mean * static_cast<double>(row.tokens);
    squares += rest * rest;
  }
  const auto count = static_cast<double>(all.rows);
  all.standard_error = std::sqrt(count / (count - 1.0) * squares) / tokens;
  return all;
}

}  // namespace shardquant::evaluation
