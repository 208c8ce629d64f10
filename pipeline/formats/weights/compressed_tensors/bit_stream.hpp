#pragma once

#include <cstdint>
#include <span>

namespace shardquant::compressed_tensors {

/// 32-bit words that `count` codes of `bits` bits fill one behind the other, without gaps: code i
/// lies in bits i * bits and up, bit 0 being the lowest of word 0.
constexpr std::int64_t stream_words(std::int64_t count, int bits) {
  return (count * bits + 31) / 32;
}

/// Packs codes into words; bits of the last word that no code takes are zero.
/// @pre 1 <= bits <= 8, every code fits, words.size() == stream_words(codes.size(), bits)
void pack_stream(std::span<const std::uint8_t> codes, int bits, std::span<std::uint32_t> words);

/// The inverse of pack_stream; what fills up the last word is not looked at. @pre as there
void unpack_stream(std::span<const std::uint32_t> words, int bits, std::span<std::uint8_t> codes);

/// True where the bits of the last word beyond `count` codes are zero, as in a stream that
/// pack_stream made. @pre as there
bool is_stream_end_clear(std::span<const std::uint32_t> words, int bits, std::int64_t count);

}  // namespace shardquant::compressed_tensors
