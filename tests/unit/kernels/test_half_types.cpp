#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/api/half_types.hpp"

namespace shardquant::kernels {
namespace {

TEST(HalfTypes, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const Half half{static_cast<std::uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(round_to_half(value)));
    } else {
      ASSERT_EQ(to_half(value).bits, half.bits) << "bits " << bits;
    }
  }
}

TEST(HalfTypes, RoundsToNearestEvenAsTheCompilersHalfDoes) {
  std::mt19937 random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isnan(value)) continue;
    const auto expected = std::bit_cast<std::uint16_t>(static_cast<_Float16>(value));
    ASSERT_EQ(to_half(value).bits, expected) << value;
  }
}

TEST(HalfTypes, BFloat16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(to_float(BFloat16{0x3f80}), 1.0f);
  EXPECT_EQ(to_float(BFloat16{0xc0a0}), -5.0f);
  EXPECT_TRUE(std::isinf(to_float(BFloat16{0x7f80})));
}

TEST(BFloat16, RoundsToTheNearestTiesToEven) {
  // Every bfloat16, the numbers half way to the next one, and their neighbours.
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const BFloat16 stored{static_cast<std::uint16_t>(bits)};
    if ((bits & 0x7fffu) > 0x7f80u) {
      EXPECT_GT(to_bfloat(to_float(stored)).bits & 0x7fff, 0x7f80);  // NaN stays NaN
      continue;
    }
    EXPECT_EQ(to_bfloat(to_float(stored)).bits, bits);
    if ((bits & 0x7fffu) == 0x7f80u) continue;  // infinity
    const auto above = [&](std::uint32_t rest) {
      return to_bfloat(std::bit_cast<float>(bits << 16 | rest)).bits;
    };
    EXPECT_EQ(above(0x7fff), bits);
    EXPECT_EQ(above(0x8000), bits + (bits & 1));
    EXPECT_EQ(above(0x8001), bits + 1);
  }
}

}  // namespace
}  // namespace shardquant::kernels
