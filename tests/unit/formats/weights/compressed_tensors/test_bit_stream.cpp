#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "pipeline/formats/weights/compressed_tensors/bit_stream.hpp"

namespace shardquant::compressed_tensors {
namespace {

std::vector<std::uint32_t> packed(const std::vector<std::uint8_t>& codes, int bits) {
  std::vector<std::uint32_t> words(stream_words(std::ssize(codes), bits));
  pack_stream(codes, bits, words);
  return words;
}

// Code i by the definition, bit by bit.
int oracle_code(const std::vector<std::uint32_t>& words, int bits, std::int64_t i) {
  int code = 0;
  for (int b = 0; b < bits; ++b) {
    const std::int64_t place = i * bits + b;
    code |= static_cast<int>(words[place / 32] >> (place % 32) & 1u) << b;
  }
  return code;
}

// Words of compressed_tensors.pack_to_int32 for 40 codes (7 i + 3) mod 2^bits.
TEST(BitStream, GoldenVectors) {
  const std::vector<std::pair<int, std::vector<std::uint32_t>>> vectors = {
      {2, {0x1b1b1b1b, 0x1b1b1b1b, 0x00001b1b}},
      {3, {0x53977053, 0x70539770, 0x97705397, 0x00977053}},
      {4, {0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3, 0xc5e7092b, 0x4d6f81a3}},
      {5, {0x4dfc4543, 0x78245ba3, 0x0753617d, 0x4b276cf4, 0xe55c7066, 0x4dfc4543, 0x000000a3}},
      {6,
       {0x9f611283, 0x90bbd2d9, 0xb2579740, 0x8f201eb3, 0x9cab91d5, 0x71538703, 0xbfe31aa3,
        0x000050d1}},
      {8,
       {0x18110a03, 0x342d261f, 0x5049423b, 0x6c655e57, 0x88817a73, 0xa49d968f, 0xc0b9b2ab,
        0xdcd5cec7, 0xf8f1eae3, 0x140d06ff}}};
  for (const auto& [bits, words] : vectors) {
    std::vector<std::uint8_t> codes(40);
    for (int i = 0; i < 40; ++i) codes[i] = static_cast<std::uint8_t>((7 * i + 3) % (1 << bits));
    EXPECT_EQ(packed(codes, bits), words) << bits << " bits";
  }
}

TEST(BitStream, GoldenZeroPoints) {
  std::vector<std::uint8_t> zeros(16);
  for (int n = 0; n < 16; ++n) zeros[n] = static_cast<std::uint8_t>((5 * n + 1) % 32);
  EXPECT_EQ(packed(zeros, 5), (std::vector<std::uint32_t>{0xf5582cc1, 0xdc4dc927, 0x000061c5}));
}

TEST(BitStream, RandomStreamsOfEveryWidthComeBack) {
  std::mt19937 random(1618);
  for (int trial = 0; trial < 10'000; ++trial) {
    const int bits = 1 + trial % 8;
    std::vector<std::uint8_t> codes(1 + random() % 300);
    for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(random() % (1u << bits));
    const std::vector<std::uint32_t> words = packed(codes, bits);
    std::vector<std::uint8_t> back(codes.size());
    unpack_stream(words, bits, back);
    ASSERT_EQ(back, codes) << bits << " bits";
    for (std::size_t i = 0; i < codes.size(); ++i) {
      ASSERT_EQ(oracle_code(words, bits, static_cast<std::int64_t>(i)), codes[i]);
    }
    ASSERT_TRUE(is_stream_end_clear(words, bits, std::ssize(codes)));
  }
}

TEST(BitStream, EveryBitAfterTheLastCodeIsLookedAt) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (std::int64_t count = 1; count <= 40; ++count) {
      const std::vector<std::uint8_t> codes(count, static_cast<std::uint8_t>((1 << bits) - 1));
      const std::vector<std::uint32_t> words = packed(codes, bits);
      for (std::int64_t place = count * bits; place < 32 * std::ssize(words); ++place) {
        std::vector<std::uint32_t> damaged = words;
        damaged.back() |= 1u << (place % 32);
        ASSERT_FALSE(is_stream_end_clear(damaged, bits, count)) << bits << ' ' << count;
      }
      ASSERT_TRUE(is_stream_end_clear(words, bits, count));
    }
  }
}

}  // namespace
}  // namespace shardquant::compressed_tensors
