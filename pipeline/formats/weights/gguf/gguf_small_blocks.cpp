// Blocks of 32 elements: d [m] [fifth bits] nibbles, and Q8_0.

#include <cstring>

#include "pipeline/formats/weights/gguf/gguf_block.hpp"

namespace shardquant::gguf::detail {

namespace {

constexpr int kElements = 32;
constexpr int kHalf = kElements / 2;

// Q4_0, Q4_1, Q5_0, Q5_1. Element j shares a byte with element j + 16; bit j of the word before
// them is the fifth of element j.
template <int bits, bool has_m>
struct NibbleBlock {
  static constexpr int kFifth = has_m ? 4 : 2;
  static constexpr int kNibbles = kFifth + (bits == 5 ? 4 : 0);

  static void pack(const GgufBlock& block, std::byte* out) {
    std::memcpy(out, &block.d, 2);
    if (has_m) std::memcpy(out + 2, &block.m, 2);
    std::uint32_t fifth = 0;
    for (int j = 0; j < kElements; ++j) fifth |= (block.codes[j] >> 4 & 1u) << j;
    if (bits == 5) std::memcpy(out + kFifth, &fifth, 4);
    for (int j = 0; j < kHalf; ++j) {
      const unsigned pair = (block.codes[j] & 15u) | (block.codes[j + kHalf] & 15u) << 4;
      out[kNibbles + j] = static_cast<std::byte>(pair);
    }
  }

  static void unpack(const std::byte* bytes, GgufBlock& block) {
    std::memcpy(&block.d, bytes, 2);
    if (has_m) std::memcpy(&block.m, bytes + 2, 2);
    std::uint32_t fifth = 0;
    if (bits == 5) std::memcpy(&fifth, bytes + kFifth, 4);
    for (int j = 0; j < kElements; ++j) {
      const auto pair = std::to_integer<unsigned>(bytes[kNibbles + j % kHalf]);
      const unsigned nibble = j < kHalf ? pair & 15u : pair >> 4;
      block.codes[j] = static_cast<std::uint8_t>(nibble | (fifth >> j & 1u) << 4);
    }
  }
};

// A code is the stored byte, a number from -128 to 127, with 128 added.
struct ByteBlock {
  static void pack(const GgufBlock& block, std::byte* out) {
    std::memcpy(out, &block.d, 2);
    for (int j = 0; j < kElements; ++j) out[2 + j] = static_cast<std::byte>(block.codes[j] ^ 0x80u);
  }

  static void unpack(const std::byte* bytes, GgufBlock& block) {
    std::memcpy(&block.d, bytes, 2);
    for (int j = 0; j < kElements; ++j) {
      block.codes[j] = static_cast<std::uint8_t>(std::to_integer<unsigned>(bytes[2 + j]) ^ 0x80u);
    }
  }
};

template <class Block>
constexpr GgufBlockLayout kLayout = {&Block::pack, &Block::unpack};

}  // namespace

GgufBlockLayout gguf_small_layout(GgufType type) {
  switch (type) {
    case GgufType::q4_0:
      return kLayout<NibbleBlock<4, false>>;
    case GgufType::q4_1:
      return kLayout<NibbleBlock<4, true>>;
    case GgufType::q5_0:
      return kLayout<NibbleBlock<5, false>>;
    case GgufType::q5_1:
      return kLayout<NibbleBlock<5, true>>;
    default:
      return kLayout<ByteBlock>;
  }
}

}  // namespace shardquant::gguf::detail
