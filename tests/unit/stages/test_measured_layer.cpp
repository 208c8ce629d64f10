#include <gtest/gtest.h>

#include "pipeline/failure.hpp"
#include "pipeline/stages/measure_group.hpp"

namespace shardquant::stages {
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
  MeasuredLayer second = first;
  second.layer = 4;
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
  EXPECT_EQ(b.layer, 4);
  EXPECT_EQ(b.err, second.err);

  std::span<const std::byte> cut = std::span(bytes).first(30);
  EXPECT_THROW(MeasuredLayer::from_bytes(cut), Failure);
}

}  // namespace
}  // namespace shardquant::stages
