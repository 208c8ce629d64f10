#include "pipeline/tokenizer/byte_alphabet.hpp"

#include <array>
#include <cstdint>

#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr char32_t kFirstStandIn = 0x100;
constexpr std::size_t kStandIns = 68;  // bytes that are not printable in Latin-1

bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<std::int16_t, kFirstStandIn + kStandIns> bytes;  // by code point; -1: none
};

Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t stand_in = kFirstStandIn;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const char32_t point = stands_for_itself(byte) ? byte : stand_in++;
    append_utf8(alphabet.characters[byte], point);
    alphabet.bytes[point] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

const Alphabet& alphabet() {
  static const Alphabet instance = make_alphabet();
  return instance;
}

}  // namespace

std::optional<std::string> bytes_of_alphabet(std::string_view token) {
  std::string bytes;
  for (std::size_t place = 0; place < token.size(); place += sequence_bytes(token[place])) {
    const char32_t point = code_point_at(token, place);
    if (point >= alphabet().bytes.size() || alphabet().bytes[point] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet().bytes[point]);
  }
  return bytes;
}

const std::string& alphabet_character(unsigned char byte) {
  return alphabet().characters[byte];
}

}  // namespace shardquant::tokenizer
