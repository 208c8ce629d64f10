#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/forward/fast_exp.hpp"

namespace shardquant::kernels {
namespace {

TEST(FastExp, IsWithinItsBoundOverItsRange) {
  double worst = 0.0;
  for (double x = -60.0; x <= 60.0; x += 1.1e-4) {
    const auto argument = static_cast<float>(x);
    const double expected = std::exp(static_cast<double>(argument));
    worst = std::max(worst, std::abs(fast_exp(argument) / expected - 1.0));
  }
  EXPECT_LT(worst, 2e-7);
}

TEST(FastExp, IsExactAtZeroAndClampedOutside) {
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fast_exp(-infinity), fast_exp(-60.0f));
  EXPECT_EQ(fast_exp(infinity), fast_exp(60.0f));
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace shardquant::kernels
