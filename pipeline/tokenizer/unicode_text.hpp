#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shardquant::tokenizer {

/// Bytes of the UTF-8 sequence that begins with `lead`. @pre valid UTF-8
inline std::size_t sequence_bytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// The code point at `place`. @pre valid UTF-8, place < text.size(), at a boundary
char32_t code_point_at(std::string_view text, std::size_t place);

/// Appends a code point as UTF-8. @pre a scalar value
void append_utf8(std::string& text, char32_t point);

/// Place of the first byte that is no part of well-formed UTF-8 (RFC 3629), or npos.
std::size_t find_invalid_utf8(std::string_view text);

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// `text` in a Unicode normal form. @pre valid UTF-8
std::string normal_form(std::string_view text, NormalForm form);

/// Every code point replaced by its full lower case mapping, without regard to its neighbours.
std::string lower_case(std::string_view text);

/// Property White_Space.
bool is_white_space(char32_t point);
/// A letter, mark, decimal digit, connector or joiner: \w of Unicode's regular expressions.
bool is_word(char32_t point);

/// Where the white space at the end of `text` begins, and how many bytes of it are at the start.
std::size_t trailing_space_start(std::string_view text);
std::size_t leading_space_bytes(std::string_view text);

}  // namespace shardquant::tokenizer
