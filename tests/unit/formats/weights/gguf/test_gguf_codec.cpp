#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/weights/gguf/gguf_codec.hpp"
#include "tests/support/random_gguf.hpp"
#include "tests/support/sha256.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::gguf {
namespace {

constexpr std::uint16_t kHalf = 0x3800;     // 0.5
constexpr std::uint16_t kQuarter = 0x3400;  // 0.25

std::vector<std::byte> encoded(GgufType type, const GgufIntegers& blocks) {
  std::vector<std::byte> bytes(std::ssize(blocks.d) * gguf_block_bytes(type));
  encode_gguf(type, blocks.parts(), bytes);
  return bytes;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15u];
  }
  return text;
}

// One block with codes (7 i + 3) mod 2^bits, d = 0.5 and, where the type has one, m = 0.25.
GgufIntegers golden(GgufType type, int (*scale)(int), int (*minimum)(int)) {
  const GgufGrid& grid = *find_gguf_grid(type);
  GgufIntegers block;
  for (int i = 0; i < gguf_block_elements(type); ++i) {
    block.codes.push_back(static_cast<std::uint8_t>((7 * i + 3) % (1 << grid.bits)));
  }
  for (int i = 0; i < grid.runs(); ++i) {
    if (grid.has_scales()) block.scales.push_back(static_cast<std::int8_t>(scale(i)));
    if (grid.has_minima()) block.minima.push_back(static_cast<std::uint8_t>(minimum(i)));
  }
  block.d = {kHalf};
  if (grid.has_offset()) block.m = {kQuarter};
  return block;
}

std::string golden_hash(GgufType type, int (*scale)(int), int (*minimum)(int) = nullptr) {
  return tests::sha256_hex(encoded(type, golden(type, scale, minimum))).substr(0, 16);
}

TEST(GgufCodec, TheHashOfTheVectorsIsSha256) {
  const std::string text = "abc";
  EXPECT_EQ(tests::sha256_hex(std::as_bytes(std::span(text))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(GgufCodec, GoldenVectors) {
  EXPECT_EQ(hex(encoded(GgufType::q4_0, golden(GgufType::q4_0, nullptr, nullptr))),
            "003833aa1188ff66dd44bb22990077ee55cc");
  EXPECT_EQ(hex(encoded(GgufType::q5_0, golden(GgufType::q5_0, nullptr, nullptr))),
            "00389c3963c633aa1188ff66dd44bb22990077ee55cc");
  const auto k_scale = [](int i) { return (11 * i + 5) % 64; };
  const auto k_minimum = [](int i) { return (13 * i + 7) % 64; };
  EXPECT_EQ(golden_hash(
                GgufType::q2_k, [](int i) { return i; }, [](int i) { return (3 * i + 1) % 16; }),
            "8cf7f71c4a84883a");
  EXPECT_EQ(golden_hash(GgufType::q3_k, [](int i) { return (5 * i + 1) % 64 - 32; }),
            "2a32e70f66d7c328");
  EXPECT_EQ(golden_hash(GgufType::q4_k, k_scale, k_minimum), "7aba3e54ac9a7740");
  EXPECT_EQ(golden_hash(GgufType::q5_k, k_scale, k_minimum), "bad4b46099a59b0a");
  EXPECT_EQ(golden_hash(GgufType::q6_k, [](int i) { return (37 * i + 1) % 256 - 128; }),
            "b16c9a4b3ef7a248");
}

TEST(GgufCodec, RandomBlocksOfEveryTypeComeBack) {
  std::mt19937 random(4242);
  for (const GgufGrid& grid : gguf_grids()) {
    for (int trial = 0; trial < 200; ++trial) {
      const GgufIntegers blocks =
          tests::random_gguf(grid, static_cast<std::int64_t>(1 + random() % 4), random);
      const GgufIntegers back = unpack_gguf(grid.type, encoded(grid.type, blocks));
      ASSERT_EQ(back.codes, blocks.codes) << gguf_type_name(grid.type);
      ASSERT_EQ(back.scales, blocks.scales) << gguf_type_name(grid.type);
      ASSERT_EQ(back.minima, blocks.minima) << gguf_type_name(grid.type);
      ASSERT_EQ(back.d, blocks.d) << gguf_type_name(grid.type);
      ASSERT_EQ(back.m, blocks.m) << gguf_type_name(grid.type);
    }
  }
}

// Every bit of a block is one of an integer or number: any bytes unpack to what packs to them.
TEST(GgufCodec, NoBitOfABlockIsLeftOut) {
  std::mt19937 random(17);
  for (const GgufGrid& grid : gguf_grids()) {
    for (int trial = 0; trial < 50; ++trial) {
      std::vector<std::byte> bytes = encoded(grid.type, tests::random_gguf(grid, 1, random));
      const GgufIntegers blocks = unpack_gguf(grid.type, bytes);
      for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        std::vector<std::byte> changed = bytes;
        changed[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
        const GgufIntegers other = unpack_gguf(grid.type, changed);
        ASSERT_FALSE(other.codes == blocks.codes && other.scales == blocks.scales &&
                     other.minima == blocks.minima && other.d == blocks.d && other.m == blocks.m)
            << gguf_type_name(grid.type) << " bit " << bit;
      }
    }
  }
}

// The formula in double with each rounding to fp32 spelled out.
TEST(GgufCodec, DecodesToTheFormula) {
  std::mt19937 random(99);
  const auto half = [](std::uint16_t bits) {
    return static_cast<double>(kernels::to_float(kernels::Half{bits}));
  };
  const auto fp32 = [](double value) { return static_cast<double>(static_cast<float>(value)); };
  for (const GgufGrid& grid : gguf_grids()) {
    const std::int64_t elements = gguf_block_elements(grid.type);
    const GgufIntegers blocks = tests::random_gguf(grid, 50, random);
    std::vector<float> values(blocks.codes.size());
    decode_gguf(grid.type, encoded(grid.type, blocks), values);
    for (std::int64_t i = 0; i < std::ssize(values); ++i) {
      const std::int64_t block = i / elements;
      const std::int64_t run = i / grid.run_elements;
      const double scale =
          fp32(half(blocks.d[block]) * (grid.has_scales() ? blocks.scales[run] : 1));
      double offset = grid.has_offset() ? half(blocks.m[block]) : 0.0;
      if (grid.offset == GgufOffset::minimum) offset = -fp32(offset * blocks.minima[run]);
      const double wanted = fp32(fp32(scale * (blocks.codes[i] - grid.zero)) + offset);
      ASSERT_EQ(values[i], wanted) << gguf_type_name(grid.type) << ' ' << i;
    }
  }
}

TEST(GgufCodec, PlainTypesRoundToNearest) {
  const std::vector<float> values = {1.0f, -2.5f, 1.00390625f, 65519.0f, 3e-8f, -0.0f};
  for (const GgufType type : {GgufType::f32, GgufType::f16, GgufType::bf16}) {
    std::vector<std::byte> bytes(std::ssize(values) * gguf_block_bytes(type));
    encode_gguf_floats(type, values, bytes);
    std::vector<float> back(values.size());
    decode_gguf(type, bytes, back);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float wanted = type == GgufType::f32   ? values[i]
                           : type == GgufType::f16 ? kernels::round_to_half(values[i])
                                                   : kernels::round_to_bfloat(values[i]);
      EXPECT_EQ(back[i], wanted) << gguf_type_name(type);
      EXPECT_EQ(std::signbit(back[i]), std::signbit(values[i]));
    }
  }
}

TEST(GgufCodec, WhatIsNotOfTheGridIsAFault) {
  std::mt19937 random(1);
  const auto expect_fault = [&](GgufType type, const std::string& reason, auto change) {
    GgufIntegers blocks = tests::random_gguf(*find_gguf_grid(type), 2, random);
    change(blocks);
    tests::expect_refusal([&] { encoded(type, blocks); }, ExitCode::internal,
                          {std::string(gguf_type_name(type)), reason});
  };
  const std::string misfit = "do not fit together";
  expect_fault(GgufType::q4_0, misfit, [](GgufIntegers& b) { b.codes.pop_back(); });
  expect_fault(GgufType::q4_0, misfit, [](GgufIntegers& b) { b.m.push_back(0); });
  expect_fault(GgufType::q4_0, misfit, [](GgufIntegers& b) { b.scales.assign(2, 1); });
  expect_fault(GgufType::q4_1, misfit, [](GgufIntegers& b) { b.m.pop_back(); });
  expect_fault(GgufType::q4_k, misfit, [](GgufIntegers& b) { b.minima.clear(); });
  expect_fault(GgufType::q6_k, misfit, [](GgufIntegers& b) { b.scales.pop_back(); });
  expect_fault(GgufType::q2_k, "a code", [](GgufIntegers& b) { b.codes[300] = 4; });
  expect_fault(GgufType::q5_0, "a code", [](GgufIntegers& b) { b.codes[3] = 32; });
  expect_fault(GgufType::q2_k, "a scale", [](GgufIntegers& b) { b.scales[31] = 16; });
  expect_fault(GgufType::q2_k, "a scale", [](GgufIntegers& b) { b.scales[0] = -1; });
  expect_fault(GgufType::q3_k, "a scale", [](GgufIntegers& b) { b.scales[0] = 32; });
  expect_fault(GgufType::q4_k, "a scale", [](GgufIntegers& b) { b.scales[0] = 64; });
  expect_fault(GgufType::q2_k, "a minimum", [](GgufIntegers& b) { b.minima[5] = 16; });
  expect_fault(GgufType::q5_k, "a minimum", [](GgufIntegers& b) { b.minima[5] = 64; });
  expect_fault(GgufType::q8_0, "not finite", [](GgufIntegers& b) { b.d[1] = 0x7c00; });
  expect_fault(GgufType::q5_1, "not finite", [](GgufIntegers& b) { b.m[1] = 0xfe00; });
}

TEST(GgufType, TableOfTypes) {
  EXPECT_EQ(gguf_type_from_number(12), GgufType::q4_k);
  EXPECT_EQ(gguf_type_from_number(4), std::nullopt);
  EXPECT_EQ(gguf_type_from_number(1000), std::nullopt);
  EXPECT_EQ(gguf_type_from_name("Q6_K"), GgufType::q6_k);
  EXPECT_EQ(gguf_type_from_name("q6_k"), std::nullopt);
  EXPECT_EQ(gguf_bytes(GgufType::q6_k, 512), 420);
  EXPECT_EQ(find_gguf_grid(GgufType::bf16), nullptr);
  for (const GgufGrid& grid : gguf_grids()) {
    EXPECT_EQ(gguf_block_elements(grid.type) % grid.run_elements, 0);
    EXPECT_TRUE(is_decoded_gguf(grid.type));
  }
  EXPECT_FALSE(is_decoded_gguf(*gguf_type_from_name("IQ4_NL")));
}

}  // namespace
}  // namespace shardquant::gguf
