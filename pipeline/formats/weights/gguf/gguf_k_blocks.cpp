// Super-blocks of 256 elements (the K-quants). Codes lie in planes: a run of bytes holds the same
// few bits of elements that are 32 apart.

#include <cstring>

#include "pipeline/formats/weights/gguf/gguf_block.hpp"

namespace shardquant::gguf::detail {

namespace {

constexpr int kElements = 256;

void put(std::byte& byte, unsigned bits, int shift) {
  byte |= static_cast<std::byte>(bits << shift);
}

unsigned get(std::byte byte, int shift, unsigned mask) {
  return std::to_integer<unsigned>(byte) >> shift & mask;
}

// Where bits of element e lie in a plane.
struct Place {
  int byte;
  int shift;
};

// Two bits an element: 32 bytes hold 128 elements.
Place pair_place(int e) {
  return {e / 128 * 32 + e % 32, 2 * (e % 128 / 32)};
}

// Four bits an element: 32 bytes hold 64 elements.
Place nibble_place(int e) {
  return {e / 64 * 32 + e % 32, 4 * (e % 64 / 32)};
}

// One bit an element: 32 bytes hold all.
Place bit_place(int e) {
  return {e % 32, e / 32};
}

struct Q2K {
  static constexpr int kCodes = 16;
  static constexpr int kD = 80;

  static void pack(const GgufBlock& block, std::byte* out) {
    std::memset(out, 0, 84);
    for (int i = 0; i < 16; ++i) {
      put(out[i], static_cast<unsigned>(block.scales[i]), 0);
      put(out[i], block.minima[i], 4);
    }
    for (int e = 0; e < kElements; ++e) {
      const auto [byte, shift] = pair_place(e);
      put(out[kCodes + byte], block.codes[e], shift);
    }
    std::memcpy(out + kD, &block.d, 2);
    std::memcpy(out + kD + 2, &block.m, 2);
  }

  static void unpack(const std::byte* bytes, GgufBlock& block) {
    for (int i = 0; i < 16; ++i) {
      block.scales[i] = static_cast<std::int8_t>(get(bytes[i], 0, 15));
      block.minima[i] = static_cast<std::uint8_t>(get(bytes[i], 4, 15));
    }
    for (int e = 0; e < kElements; ++e) {
      const auto [byte, shift] = pair_place(e);
      block.codes[e] = static_cast<std::uint8_t>(get(bytes[kCodes + byte], shift, 3));
    }
    std::memcpy(&block.d, bytes + kD, 2);
    std::memcpy(&block.m, bytes + kD + 2, 2);
  }
};

// A scale with 32 added has its low four bits in a plane of two rows of 8 and its high two in one
// of four rows of 4.
struct Q3K {
  static constexpr int kLow = 32;
  static constexpr int kScales = 96;
  static constexpr int kHighScales = kScales + 8;
  static constexpr int kD = 108;

  static void pack(const GgufBlock& block, std::byte* out) {
    std::memset(out, 0, 110);
    for (int e = 0; e < kElements; ++e) {
      const auto [high_byte, high_shift] = bit_place(e);
      put(out[high_byte], block.codes[e] >> 2, high_shift);
      const auto [byte, shift] = pair_place(e);
      put(out[kLow + byte], block.codes[e] & 3u, shift);
    }
    for (int i = 0; i < 16; ++i) {
      const auto scale = static_cast<unsigned>(block.scales[i] + 32);
      put(out[kScales + i % 8], scale & 15u, 4 * (i / 8));
      put(out[kHighScales + i % 4], scale >> 4, 2 * (i / 4));
    }
    std::memcpy(out + kD, &block.d, 2);
  }

  static void unpack(const std::byte* bytes, GgufBlock& block) {
    for (int e = 0; e < kElements; ++e) {
      const auto [high_byte, high_shift] = bit_place(e);
      const auto [byte, shift] = pair_place(e);
      block.codes[e] = static_cast<std::uint8_t>(get(bytes[kLow + byte], shift, 3) |
                                                 get(bytes[high_byte], high_shift, 1) << 2);
    }
    for (int i = 0; i < 16; ++i) {
      const unsigned scale = get(bytes[kScales + i % 8], 4 * (i / 8), 15) |
                             get(bytes[kHighScales + i % 4], 2 * (i / 4), 3) << 4;
      block.scales[i] = static_cast<std::int8_t>(static_cast<int>(scale) - 32);
    }
    std::memcpy(&block.d, bytes + kD, 2);
  }
};

// Eight scales and eight minima of 6 bits in 12 bytes: the first four of each have the low six bits
// of a byte; of the last four the low four bits share a byte and the high two lie above those of
// the first four.
void pack_sixes(const GgufBlock& block, std::byte* out) {
  for (int i = 0; i < 8; ++i) {
    const auto scale = static_cast<unsigned>(block.scales[i]);
    const unsigned minimum = block.minima[i];
    if (i < 4) {
      put(out[i], scale, 0);
      put(out[i + 4], minimum, 0);
    } else {
      put(out[i + 4], scale & 15u, 0);
      put(out[i + 4], minimum & 15u, 4);
      put(out[i - 4], scale >> 4, 6);
      put(out[i], minimum >> 4, 6);
    }
  }
}

void unpack_sixes(const std::byte* bytes, GgufBlock& block) {
  for (int i = 0; i < 8; ++i) {
    unsigned scale = 0;
    unsigned minimum = 0;
    if (i < 4) {
      scale = get(bytes[i], 0, 63);
      minimum = get(bytes[i + 4], 0, 63);
    } else {
      scale = get(bytes[i + 4], 0, 15) | get(bytes[i - 4], 6, 3) << 4;
      minimum = get(bytes[i + 4], 4, 15) | get(bytes[i], 6, 3) << 4;
    }
    block.scales[i] = static_cast<std::int8_t>(scale);
    block.minima[i] = static_cast<std::uint8_t>(minimum);
  }
}

// Q4_K, and Q5_K with a plane of fifth bits before the nibbles.
template <int bits>
struct NibbleK {
  static constexpr int kScales = 4;
  static constexpr int kFifth = kScales + 12;
  static constexpr int kNibbles = kFifth + (bits == 5 ? 32 : 0);

  static void pack(const GgufBlock& block, std::byte* out) {
    std::memset(out, 0, kNibbles + 128);
    std::memcpy(out, &block.d, 2);
    std::memcpy(out + 2, &block.m, 2);
    pack_sixes(block, out + kScales);
    for (int e = 0; e < kElements; ++e) {
      const auto [byte, shift] = nibble_place(e);
      put(out[kNibbles + byte], block.codes[e] & 15u, shift);
      const auto [fifth_byte, fifth_shift] = bit_place(e);
      if (bits == 5) put(out[kFifth + fifth_byte], block.codes[e] >> 4, fifth_shift);
    }
  }

  static void unpack(const std::byte* bytes, GgufBlock& block) {
    std::memcpy(&block.d, bytes, 2);
    std::memcpy(&block.m, bytes + 2, 2);
    unpack_sixes(bytes + kScales, block);
    for (int e = 0; e < kElements; ++e) {
      const auto [byte, shift] = nibble_place(e);
      unsigned code = get(bytes[kNibbles + byte], shift, 15);
      const auto [fifth_byte, fifth_shift] = bit_place(e);
      if (bits == 5) code |= get(bytes[kFifth + fifth_byte], fifth_shift, 1) << 4;
      block.codes[e] = static_cast<std::uint8_t>(code);
    }
  }
};

struct Q6K {
  static constexpr int kHigh = 128;
  static constexpr int kScales = 192;
  static constexpr int kD = 208;

  // Low four bits: 64 bytes hold 128 elements, the first 64 of them in the low half.
  static Place low_place(int e) { return {e / 128 * 64 + e % 64, 4 * (e % 128 / 64)}; }

  static void pack(const GgufBlock& block, std::byte* out) {
    std::memset(out, 0, 210);
    for (int e = 0; e < kElements; ++e) {
      const auto [byte, shift] = low_place(e);
      put(out[byte], block.codes[e] & 15u, shift);
      const auto [high_byte, high_shift] = pair_place(e);
      put(out[kHigh + high_byte], block.codes[e] >> 4, high_shift);
    }
    std::memcpy(out + kScales, block.scales.data(), 16);
    std::memcpy(out + kD, &block.d, 2);
  }

  static void unpack(const std::byte* bytes, GgufBlock& block) {
    for (int e = 0; e < kElements; ++e) {
      const auto [byte, shift] = low_place(e);
      const auto [high_byte, high_shift] = pair_place(e);
      block.codes[e] = static_cast<std::uint8_t>(get(bytes[byte], shift, 15) |
                                                 get(bytes[kHigh + high_byte], high_shift, 3) << 4);
    }
    std::memcpy(block.scales.data(), bytes + kScales, 16);
    std::memcpy(&block.d, bytes + kD, 2);
  }
};

template <class Block>
constexpr GgufBlockLayout kLayout = {&Block::pack, &Block::unpack};

}  // namespace

GgufBlockLayout gguf_k_layout(GgufType type) {
  switch (type) {
    case GgufType::q2_k:
      return kLayout<Q2K>;
    case GgufType::q3_k:
      return kLayout<Q3K>;
    case GgufType::q4_k:
      return kLayout<NibbleK<4>>;
    case GgufType::q5_k:
      return kLayout<NibbleK<5>>;
    default:
      return kLayout<Q6K>;
  }
}

GgufBlockLayout gguf_block_layout(GgufType type) {
  return gguf_block_elements(type) == kElements ? gguf_k_layout(type) : gguf_small_layout(type);
}

}  // namespace shardquant::gguf::detail
