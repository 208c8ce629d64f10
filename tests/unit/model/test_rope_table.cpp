#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/model/rope_table.hpp"
#include "tests/oracle/naive_forward.hpp"
#include "tests/support/backend_test.hpp"

namespace shardquant::tests {
namespace {

using model::RopeScalingKind;
using model::RopeSettings;

void expect_equal(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i] / expected[i], 1.0, 1e-14) << "pair " << i;
  }
}

TEST(RopeFrequencies, PlainAndLinear) {
  expect_equal(model::rope_frequencies({.theta = 100.0}, 4), {1.0, 0.1});
  expect_equal(model::rope_frequencies(
                   {.theta = 100.0, .scaling = RopeScalingKind::linear, .factor = 4.0}, 4),
               {0.25, 0.025});
}

TEST(RopeFrequencies, Llama3ScalesByWaveLength) {
  // Llama 3.1: heads of 128, theta 500000, factor 8, original context 8192.
  const RopeSettings settings{.theta = 500000.0,
                              .scaling = RopeScalingKind::llama3,
                              .factor = 8.0,
                              .low_freq_factor = 1.0,
                              .high_freq_factor = 4.0,
                              .original_max_position_embeddings = 8192};
  const std::vector<double> plain = oracle::rope_frequencies(500000.0, 128);
  const std::vector<double> scaled = model::rope_frequencies(settings, 128);
  expect_equal(scaled, oracle::llama3_frequencies(plain, 8.0, 1.0, 4.0, 8192.0));
  int kept = 0;
  int slowed = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    kept += std::abs(scaled[i] - plain[i]) < 1e-15 ? 1 : 0;
    slowed += std::abs(scaled[i] * 8.0 / plain[i] - 1.0) < 1e-12 ? 1 : 0;
  }
  // Waves below 2048 and above 8192 tokens: 2 pi 500000^(i / 64) crosses these at i = 28.2
  // and 34.99.
  EXPECT_EQ(kept, 29);
  EXPECT_EQ(slowed, 29);
}

class RopeTables : public BackendTest {};

TEST_P(RopeTables, HoldCosineAndSinePerPositionAndPair) {
  const model::RopeTable table = model::make_rope_table(*backend, {.theta = 100.0}, 4, 3);
  const std::vector<float> cosines = to_host(table.cosines);
  const std::vector<float> sines = to_host(table.sines);
  ASSERT_EQ(cosines.size(), 6u);
  EXPECT_EQ(cosines[0], 1.0f);
  EXPECT_EQ(sines[1], 0.0f);
  EXPECT_EQ(cosines[4], static_cast<float>(std::cos(2.0)));
  EXPECT_EQ(sines[5], static_cast<float>(std::sin(2.0 * 0.1)));
}

INSTANTIATE_FOR_BACKENDS(RopeTables);

}  // namespace
}  // namespace shardquant::tests
