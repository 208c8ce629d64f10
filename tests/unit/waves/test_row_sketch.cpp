#include <gtest/gtest.h>

#include <random>

#include "kernels/make_backend.hpp"
#include "pipeline/waves/row_sketch.hpp"

namespace shardquant::waves {
namespace {

// The mean over many rows of ||Omega x||^2 / (s ||x||^2) is 1, with a spread of sqrt(2 / s) per row
// and column.
TEST(RowSketch, KeepsNormsOnAverageAndDependsOnTheRowAlone) {
  std::string reason;
  const auto backend = kernels::make_backend(kernels::DeviceKind::cpu, 1, reason);
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(40 * 6);
  for (float& value : values) value = normal(random);
  kernels::Matrix x = backend->allocate(40, 6);
  backend->upload(values, x);
  double norm = 0.0;
  for (const float value : values) norm += static_cast<double>(value) * static_cast<double>(value);

  double ratio = 0.0;
  constexpr int kRows = 400;
  for (int row = 0; row < kRows; ++row) {
    std::vector<float> sketch(16 * 6);
    sketch_row(*backend, row, 16, x, sketch);
    double sum = 0.0;
    for (const float value : sketch) sum += static_cast<double>(value) * static_cast<double>(value);
    ratio += sum / (16.0 * norm) / kRows;
    std::vector<float> again(16 * 6);
    sketch_row(*backend, row, 16, x, again);
    ASSERT_EQ(again, sketch);
  }
  EXPECT_NEAR(ratio, 1.0, 0.03);
}

}  // namespace
}  // namespace shardquant::waves
