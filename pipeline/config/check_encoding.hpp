#pragma once

#include <string>
#include <string_view>

namespace shardquant::config {

/// Refuses a text that is not UTF-8 without byte order mark, or that holds a tab, NUL or another
/// control character than the line break, with the place of the first offence.
/// @throws Failure(config)
void check_encoding(std::string_view text, std::string_view name);

/// Whether `text` is UTF-8 without any control character, line breaks included.
bool is_plain_line(std::string_view text);

/// `c` itself, or `\xNN` for a control character.
std::string escaped(char c);

}  // namespace shardquant::config
