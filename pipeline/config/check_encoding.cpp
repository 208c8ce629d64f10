#include "pipeline/config/check_encoding.hpp"

#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

namespace {

bool is_control(unsigned char c) {
  return c < 0x20 || c == 0x7f;
}

void refuse_byte_order_mark(std::string_view text, std::string_view name) {
  if (text.starts_with("\xef\xbb\xbf")) {
    fail_at(name, {}, "", "starts with a byte order mark; save it as UTF-8 without one");
  }
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    fail_at(name, {}, "", "is UTF-16; save it as UTF-8");
  }
}

// Why the control character at `at` is refused; empty where it is part of a line break.
std::string complaint(std::string_view text, std::size_t at) {
  const char c = text[at];
  if (c == '\n' || (c == '\r' && at + 1 < text.size() && text[at + 1] == '\n')) return {};
  if (c == '\t') return "a tab; use blanks";
  if (c == '\0') return "a NUL byte; the file is binary, or text in another encoding than UTF-8";
  return fmt::format("control character {}", escaped(c));
}

// Bytes of the character that `text` starts with; 0 where it starts with none (overlong forms,
// surrogates and what lies beyond U+10FFFF are none).
int utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const int length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < static_cast<std::size_t>(length)) return 0;
  for (std::size_t i = 1; i < static_cast<std::size_t>(length); ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool surrogate = first == 0xed && byte(1) > 0x9f;
  const bool too_large = first == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

std::string escaped(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return is_control(byte) ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
}

bool is_plain_line(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const int length = utf8_length(text.substr(at));
    if (length == 0 || is_control(static_cast<unsigned char>(text[at]))) return false;
    at += static_cast<std::size_t>(length);
  }
  return true;
}

void check_encoding(std::string_view text, std::string_view name) {
  refuse_byte_order_mark(text, name);
  YamlPlace place;
  for (std::size_t at = 0; at < text.size();) {
    const int length = utf8_length(text.substr(at));
    if (length == 0) fail_at(name, place, "", "not UTF-8; save it as UTF-8");
    if (is_control(static_cast<unsigned char>(text[at]))) {
      const std::string reason = complaint(text, at);
      if (!reason.empty()) fail_at(name, place, "", reason);
    }
    place.column += length;
    if (text[at] == '\n') place = {place.line + 1, 1};
    at += static_cast<std::size_t>(length);
  }
}

}  // namespace shardquant::config
