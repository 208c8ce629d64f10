#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/api/weight_grid.hpp"
#include "tests/oracle/naive_affine.hpp"

namespace shardquant::kernels {
namespace {

// Usable where constants are made: what a device compiles is this and nothing else.
static_assert(AffineColumn<ScalarMath>{0.5f, 1.0f, -8, 7, AffineForm::zero, ElementType::f32}.value(
                  3.0f) == 1.0f);
static_assert(exl2_scale(256.0f, 15, ScaleRounding::reader).value == 256.0f);

// ExLlamaV2's kernels on q_scale_max = fp16(0.0123): bits of scales and weights, by hand.
TEST(WeightGrid, Exl2ScalesAreWhatTheReaderRebuilds) {
  const float smax = to_float(Half{0x224c});
  const auto weight = [&](int q, int bits, int code) {
    const Exl2Scale scale = exl2_scale(smax, code, ScaleRounding::reader);
    EXPECT_EQ(scale.quotient, scale.value);
    const Exl2Column<ScalarMath> column{scale.quotient, scale.value, 0, 0};
    return to_half(column.value(static_cast<float>(q - (1 << (bits - 1))))).bits;
  };
  EXPECT_EQ(to_half(exl2_scale(smax, 9, ScaleRounding::reader).value).bits, 0x1ceb);
  EXPECT_EQ(weight(13, 4, 9), 0x2626);
  EXPECT_EQ(weight(0, 3, 15), 0xaa4c);
  EXPECT_EQ(weight(255, 8, 0), 0x1e3f);
  EXPECT_EQ(weight(1, 2, 4), 0x94eb);
  EXPECT_FALSE(exl2_scale_is_lost(8e-6f));
  EXPECT_TRUE(exl2_scale_is_lost(7.6e-6f));
}

TEST(WeightGrid, ScaleCodesFollowTheSquareRootOfTheShare) {
  const float smax = exl2_base_scale(1.0f, 4);
  EXPECT_FLOAT_EQ(smax, 1.0f / 7.5f);
  EXPECT_EQ(exl2_scale_code(1.0f, smax, 4), 15);
  EXPECT_EQ(exl2_scale_code(0.0f, smax, 4), 0);
  for (int c = 1; c <= 16; ++c) {
    const float share = static_cast<float>(c * c) / 256.0f;
    EXPECT_EQ(exl2_scale_code(share, smax, 4), c - 1);
    EXPECT_FLOAT_EQ(exl2_scale(smax, c - 1, ScaleRounding::exl2_2023).quotient, share * smax);
  }
}

// The code is that of the nearest value; its value is the definition's, rounded once.
TEST(WeightGrid, AffineCodesAreNearestAndValuesAreTheDefinitions) {
  for (const auto form : {AffineForm::zero, AffineForm::minimum}) {
    for (const auto type : {ElementType::f32, ElementType::f16, ElementType::bf16}) {
      for (const float scale : {0.011f, 0.25f, -0.031f, 0.0f}) {
        for (const float offset : {0.0f, -3.0f, 2.0f}) {
          const oracle::AffinePoint point{scale, offset, -8, 7, form, type};
          const AffineColumn<ScalarMath> column{scale, offset, -8, 7, form, type};
          for (float v = -2.0f; v <= 2.0f; v += 0.0173f) {
            const float q = column.code(v);
            EXPECT_EQ(q, std::nearbyint(q));
            EXPECT_GE(q, -8.0f);
            EXPECT_LE(q, 7.0f);
            EXPECT_EQ(column.value(q), oracle::affine_value(point, q));
            const auto exact = [&](double code) {
              return form == AffineForm::zero ? (code - offset) * scale : scale * code - offset;
            };
            double nearest = 1e300;
            for (int code = -8; code <= 7; ++code) {
              nearest = std::min(nearest, std::abs(exact(code) - v));
            }
            EXPECT_NEAR(std::abs(exact(q) - v), nearest, 1e-6);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace shardquant::kernels
