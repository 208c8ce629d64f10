#pragma once

#include <cstdint>
#include <span>

namespace shardquant::evaluation {

/// What the tokens of a row add up to.
struct RowSum {
  double sum = 0.0;
  std::int64_t tokens = 0;
};

/// A mean over the tokens of rows, and its standard error.
struct TokenMean {
  double mean = 0.0;
  double standard_error = 0.0;  ///< NaN where there is but one row
  std::int64_t tokens = 0;
  std::int64_t rows = 0;
};

/// mean m = sum of sums / sum of tokens. Tokens of a row hang together, rows do not, so the error
/// is that of a ratio over R rows drawn at random (Cochran, Sampling Techniques, 1977, eq. 6.13):
/// sqrt(R / (R - 1) sum_r (sum_r - m tokens_r)^2) / sum of tokens. Sums are taken in the given
/// order. @pre not all rows are empty
TokenMean mean_over_rows(std::span<const RowSum> rows);

}  // namespace shardquant::evaluation
