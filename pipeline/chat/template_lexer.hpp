#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::chat {

/// A piece of a template.
struct Token {
  enum class Kind {
    text,             ///< between tags, white space taken off where the tags beside it say so
    statement_begin,  ///< {%
    statement_end,    ///< %}
    print_begin,      ///< {{
    print_end,        ///< }}
    name,
    string,  ///< unescaped
    integer,
    real,
    symbol,  ///< an operator or bracket
    end
  } kind = Kind::end;
  std::string text;
  std::int64_t line = 1;
};

/// The pieces of a Jinja template, as an environment with trim_blocks and lstrip_blocks cuts them
/// (the one of Hugging Face's apply_chat_template): the first newline after a statement or comment
/// is dropped, and so are blanks before one that begins its line; `-` takes off all white space and
/// `+` keeps it. One newline at the end is dropped. Comments and {% raw %} are resolved. The last
/// token is `end`. @throws Failure(bad_data) naming `name` and the line
std::vector<Token> cut_template(std::string_view text, const std::string& name);

}  // namespace shardquant::chat
