#include "pipeline/formats/weights/compressed_tensors/bit_stream.hpp"

#include <cstddef>

namespace shardquant::compressed_tensors {

void pack_stream(std::span<const std::uint8_t> codes, int bits, std::span<std::uint32_t> words) {
  std::uint64_t held = 0;
  int held_bits = 0;
  std::size_t word = 0;
  for (const std::uint8_t code : codes) {
    held |= std::uint64_t{code} << held_bits;
    held_bits += bits;
    if (held_bits >= 32) {
      words[word++] = static_cast<std::uint32_t>(held);
      held >>= 32;
      held_bits -= 32;
    }
  }
  if (held_bits > 0) words[word] = static_cast<std::uint32_t>(held);
}

void unpack_stream(std::span<const std::uint32_t> words, int bits, std::span<std::uint8_t> codes) {
  const std::uint32_t mask = (1u << bits) - 1;
  std::uint64_t held = 0;
  int held_bits = 0;
  std::size_t word = 0;
  for (std::uint8_t& code : codes) {
    if (held_bits < bits) {
      held |= std::uint64_t{words[word++]} << held_bits;
      held_bits += 32;
    }
    code = static_cast<std::uint8_t>(held & mask);
    held >>= bits;
    held_bits -= bits;
  }
}

bool is_stream_end_clear(std::span<const std::uint32_t> words, int bits, std::int64_t count) {
  const std::int64_t used = count * bits % 32;
  return used == 0 || words.back() >> used == 0;
}

}  // namespace shardquant::compressed_tensors
