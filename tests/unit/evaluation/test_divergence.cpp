#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "pipeline/evaluation/divergence.hpp"

namespace shardquant::tests {
namespace {

using evaluation::divergence_of;
using evaluation::probabilities_of;

// The definition, in long double.
double plainly(const std::vector<float>& plain, const std::vector<float>& other) {
  long double sum_p = 0.0L, sum_q = 0.0L;
  for (const float z : plain) sum_p += std::exp(static_cast<long double>(z));
  for (const float z : other) sum_q += std::exp(static_cast<long double>(z));
  long double divergence = 0.0L;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const long double log_p = plain[i] - std::log(sum_p);
    divergence += std::exp(log_p) * (log_p - (other[i] - std::log(sum_q)));
  }
  return static_cast<double>(divergence);
}

TEST(Divergence, IsTheDefinitionForDifferencesOfAnySize) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  std::vector<float> plain(1000), noise(1000);
  for (float& z : plain) z = normal(random);
  for (float& z : noise) z = normal(random);
  for (const float scale : {2.0f, 0.1f, 1e-2f, 1e-3f}) {
    std::vector<float> other(plain);
    for (std::size_t i = 0; i < other.size(); ++i) other[i] += scale * noise[i];
    const double want = plainly(plain, other);
    EXPECT_NEAR(divergence_of(probabilities_of(plain), plain, other), want, 1e-9 * want) << scale;
  }
}

TEST(Divergence, IsZeroForEqualRowsAndForAShiftOfAll) {
  const std::vector<float> plain{1.5f, -2.25f, 0.5f, 30.0f};
  std::vector<float> shifted(plain);
  for (float& z : shifted) z += 4.0f;
  const std::vector<double> p = probabilities_of(plain);
  EXPECT_EQ(divergence_of(p, plain, plain), 0.0);
  EXPECT_NEAR(divergence_of(p, plain, shifted), 0.0, 1e-15);
}

TEST(Divergence, StaysFiniteWhereNothingIsShared) {
  const std::vector<float> plain{0.0f, -3000.0f, 10.0f};
  const std::vector<float> other{0.0f, 3000.0f, -2000.0f};
  const double divergence = divergence_of(probabilities_of(plain), plain, other);
  EXPECT_TRUE(std::isfinite(divergence));
  EXPECT_GE(divergence, 0.0);
}

}  // namespace
}  // namespace shardquant::tests
