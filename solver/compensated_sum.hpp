#pragma once

#include <cmath>

namespace shardquant::solver {

/// Sum of doubles with the rounding errors carried along (Neumaier 1974): the result is that of a
/// sum in twice the precision, whatever the order.
class CompensatedSum {
 public:
  void add(double value) {
    const double sum = sum_ + value;
    const bool sum_is_larger = std::abs(sum_) >= std::abs(value);
    error_ += sum_is_larger ? (sum_ - sum) + value : (value - sum) + sum_;
    sum_ = sum;
  }
  double value() const { return sum_ + error_; }

 private:
  double sum_ = 0.0;
  double error_ = 0.0;
};

}  // namespace shardquant::solver
