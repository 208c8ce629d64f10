#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "pipeline/failure.hpp"
#include "pipeline/waves/measure_group.hpp"

namespace shardquant::waves {
namespace {

TEST(MeasuredLayer, SurvivesTheWayToRootAmongOthers) {
  MeasuredLayer first;
  first.layer = 3;
  first.damp = 0.25;
  first.seconds = 1.5;
  first.damping_tries = 2;
  first.method = kernels::FactorMethod::fp64;
  first.dead_inputs = 7;
  first.err = {0.5, 0.25, 0.125, 1.0};
  first.flushed_groups = {0, 1, 2, 3};
  first.cost = 2.5e9;
  first.options = {1, 3};
  MeasuredLayer second = first;
  second.layer = 4;
  second.options.clear();
  second.err = {0.75, 0.5};
  second.flushed_groups = {9, 8};

  std::vector<std::byte> bytes = first.to_bytes();
  const auto more = second.to_bytes();
  bytes.insert(bytes.end(), more.begin(), more.end());
  std::span<const std::byte> left = bytes;
  const MeasuredLayer a = MeasuredLayer::from_bytes(left);
  const MeasuredLayer b = MeasuredLayer::from_bytes(left);
  EXPECT_TRUE(left.empty());
  EXPECT_EQ(a.layer, 3);
  EXPECT_EQ(a.damp, 0.25);
  EXPECT_EQ(a.seconds, 1.5);
  EXPECT_EQ(a.damping_tries, 2);
  EXPECT_EQ(a.method, kernels::FactorMethod::fp64);
  EXPECT_EQ(a.dead_inputs, 7);
  EXPECT_EQ(a.err, first.err);
  EXPECT_EQ(a.flushed_groups, first.flushed_groups);
  EXPECT_EQ(a.cost, 2.5e9);
  EXPECT_EQ(a.options, first.options);
  EXPECT_TRUE(a.is_part());
  EXPECT_FALSE(b.is_part());
  EXPECT_EQ(b.layer, 4);
  EXPECT_EQ(b.err, second.err);

  std::span<const std::byte> cut = std::span(bytes).first(30);
  EXPECT_THROW(MeasuredLayer::from_bytes(cut), Failure);
}

TEST(MeasuredLayer, PartsMakeTheWholeInAnyOrder) {
  const auto part = [](std::vector<std::int64_t> options, double seconds) {
    MeasuredLayer record;
    record.layer = 5;
    record.damp = 0.5;
    record.seconds = seconds;
    record.err.assign(4, std::numeric_limits<double>::quiet_NaN());
    record.flushed_groups.assign(4, 0);
    for (const std::int64_t option : options) {
      record.err[static_cast<std::size_t>(option)] = 0.1 * static_cast<double>(option);
      record.flushed_groups[static_cast<std::size_t>(option)] = option;
    }
    record.options = std::move(options);
    return record;
  };
  const MeasuredLayer a = part({0, 3}, 1.0), b = part({2}, 2.0);
  for (const auto& parts : {std::vector{a, b}, std::vector{b, a}}) {
    const MeasuredLayer whole = merge_parts(parts);
    EXPECT_FALSE(whole.is_part());
    EXPECT_EQ(whole.seconds, 3.0);
    EXPECT_EQ(whole.damp, 0.5);
    EXPECT_EQ(whole.err[0], 0.0);
    EXPECT_TRUE(std::isnan(whole.err[1]));  // an option that does not exist
    EXPECT_EQ(whole.err[2], 0.2);
    EXPECT_EQ(whole.err[3], 0.1 * 3.0);
    EXPECT_EQ(whole.flushed_groups, (std::vector<std::int64_t>{0, 0, 2, 3}));
  }
}

}  // namespace
}  // namespace shardquant::waves
