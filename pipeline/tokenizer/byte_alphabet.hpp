#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shardquant::tokenizer {

/// The alphabet in which byte-level vocabularies are written (GPT-2): every byte is one printable
/// character, itself where it is printable in Latin-1, else one from U+0100 on.

/// Bytes of a token so written; nothing where a character is outside the alphabet.
/// @pre valid UTF-8
std::optional<std::string> bytes_of_alphabet(std::string_view token);

/// The character that stands for a byte, as UTF-8.
const std::string& alphabet_character(unsigned char byte);

}  // namespace shardquant::tokenizer
