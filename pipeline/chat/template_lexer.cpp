#include "pipeline/chat/template_lexer.hpp"

#include <algorithm>
#include <cctype>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::chat {

namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_code_point(std::string& text, unsigned code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
  } else {
    text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
             static_cast<char>(0x80 | (code & 0x3F))};
  }
}

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& name) : name_(name) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\r') {
        source_ += '\n';
        i += i + 1 < text.size() && text[i + 1] == '\n' ? 1 : 0;
      } else {
        source_ += text[i];
      }
    }
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> cut() {
    while (at_ < source_.size()) {
      const std::size_t tag = next_tag();
      take_text(tag);
      if (tag == std::string::npos) break;
      take_tag();
    }
    add(Token::Kind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    fail(ExitCode::bad_data, "{}: line {}: {}", name_, line_, reason);
  }

  void add(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  bool at(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }

  void advance(std::size_t count) {
    line_ += std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                        source_.begin() + static_cast<std::ptrdiff_t>(at_ + count), '\n');
    at_ += count;
  }

  std::size_t next_tag() const {
    std::size_t found = source_.find('{', at_);
    while (found != std::string::npos && found + 1 < source_.size()) {
      const char next = source_[found + 1];
      if (next == '{' || next == '%' || next == '#') return found;
      found = source_.find('{', found + 1);
    }
    return std::string::npos;
  }

  // The text up to a tag, less what the tags on both sides take off.
  void take_text(std::size_t tag) {
    std::string text = source_.substr(at_, tag == std::string::npos ? tag : tag - at_);
    const bool begins_line = at_ == 0 || source_[at_ - 1] == '\n';
    const std::size_t size = text.size();
    if (trims_all_) {
      const std::size_t first = text.find_first_not_of(kSpace);
      text.erase(0, std::min(first, text.size()));
    } else if (trims_newline_ && text.starts_with('\n')) {
      text.erase(0, 1);
    }
    if (tag != std::string::npos) strip_before_tag(text, tag, begins_line || text.size() < size);
    if (!text.empty()) add(Token::Kind::text, text);
    advance(size);
    trims_all_ = trims_newline_ = false;
  }

  void strip_before_tag(std::string& text, std::size_t tag, bool begins_line) const {
    const char mark = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (mark == '-') {
      text.erase(std::min(text.find_last_not_of(kSpace) + 1, text.size()));
      return;
    }
    if (source_[tag + 1] == '{' || mark == '+') return;
    const std::size_t newline = text.rfind('\n');
    if (newline == std::string::npos && !begins_line) return;
    const std::size_t first = newline == std::string::npos ? 0 : newline + 1;
    if (text.find_first_not_of(" \t", first) == std::string::npos) text.erase(first);
  }

  void take_tag() {
    const char kind = source_[at_ + 1];
    if (kind == '#') {
      take_comment();
      return;
    }
    const bool is_print = kind == '{';
    add(is_print ? Token::Kind::print_begin : Token::Kind::statement_begin, "");
    advance(2);
    if (at("-") || (at("+") && !is_print)) advance(1);
    const std::size_t first = tokens_.size();
    while (!take_end(is_print)) take_inner();
    if (!is_print && tokens_.size() == first + 2 && tokens_[first].text == "raw") take_raw(first);
  }

  void take_comment() {
    const std::size_t end = source_.find("#}", at_ + 2);
    if (end == std::string::npos) refuse("a comment without end");
    trims_all_ = source_[end - 1] == '-';
    trims_newline_ = source_[end - 1] != '+';
    advance(end + 2 - at_);
  }

  // The end of a tag, which says what becomes of the white space behind it.
  bool take_end(bool is_print) {
    advance(std::min(source_.find_first_not_of(kSpace, at_), source_.size()) - at_);
    if (at_ == source_.size()) refuse("a tag without end");
    const std::string_view plain = is_print ? "}}" : "%}";
    // Inside a map's braces `}}` may be two of them.
    if (is_print && depth_ > 0 && at("}}")) return false;
    const bool strips = source_[at_] == '-' && source_.compare(at_ + 1, 2, plain) == 0;
    const bool keeps = !is_print && source_[at_] == '+' && source_.compare(at_ + 1, 2, plain) == 0;
    if (!strips && !keeps && !at(plain)) return false;
    advance(strips || keeps ? 3 : 2);
    add(is_print ? Token::Kind::print_end : Token::Kind::statement_end, "");
    trims_all_ = strips;
    trims_newline_ = !is_print && !keeps;
    depth_ = 0;
    return true;
  }

  void take_raw(std::size_t first) {
    tokens_.resize(first - 1);
    const std::size_t tag = source_.find("{%", at_);
    const std::size_t end = source_.find("%}", tag == std::string::npos ? at_ : tag);
    if (end == std::string::npos ||
        source_.substr(tag, end - tag).find("endraw") == std::string::npos) {
      refuse("{% raw %} without {% endraw %} or with a tag in it");
    }
    take_text(tag);
    trims_all_ = source_[end - 1] == '-';
    trims_newline_ = true;
    advance(end + 2 - at_);
  }

  void take_inner() {
    const char c = source_[at_];
    if (c == '"' || c == '\'') {
      take_string(c);
    } else if (is_digit(c)) {
      take_number();
    } else if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
      take(Token::Kind::name, end - at_);
    } else {
      take_symbol();
    }
  }

  void take(Token::Kind kind, std::size_t size) {
    add(kind, source_.substr(at_, size));
    advance(size);
  }

  void take_number() {
    std::size_t end = at_;
    while (end < source_.size() && is_digit(source_[end])) ++end;
    bool is_real = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      is_real = true;
      ++end;
      while (end < source_.size() && is_digit(source_[end])) ++end;
    }
    if (const std::size_t exponent = exponent_end(end); exponent > end) {
      is_real = true;
      end = exponent;
    }
    take(is_real ? Token::Kind::real : Token::Kind::integer, end - at_);
  }

  // Behind "e5" or "e-5" at `at`; `at` where there is none.
  std::size_t exponent_end(std::size_t at) const {
    if (at >= source_.size() || (source_[at] | 0x20) != 'e') return at;
    std::size_t end = at + 1;
    if (end < source_.size() && (source_[end] == '+' || source_[end] == '-')) ++end;
    const std::size_t first = end;
    while (end < source_.size() && is_digit(source_[end])) ++end;
    return end > first ? end : at;
  }

  void take_symbol() {
    constexpr std::string_view kTwo[] = {"==", "!=", "<=", ">=", "//", "**"};
    for (const std::string_view symbol : kTwo) {
      if (at(symbol)) return take(Token::Kind::symbol, 2);
    }
    const char c = source_[at_];
    if (std::string_view("+-*/%~|.,:()[]{}<>=").find(c) == std::string_view::npos) {
      refuse(formats::json_quote(std::string(1, c)) + " is not expected");
    }
    depth_ += c == '{' ? 1 : 0;
    depth_ -= c == '}' ? 1 : 0;
    take(Token::Kind::symbol, 1);
  }

  void take_string(char quote) {
    std::string text;
    std::size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] != '\\' || i + 1 >= source_.size()) {
        text += source_[i++];
        continue;
      }
      i = unescape(i + 1, text);
    }
    if (i >= source_.size()) refuse("a string without end");
    add(Token::Kind::string, text);
    advance(i + 1 - at_);
  }

  // The escape whose letter is at `i`; the place behind it.
  std::size_t unescape(std::size_t i, std::string& text) const {
    constexpr std::string_view kLetters = "ntrbfv0\\'\"\n";
    constexpr std::string_view kMeanings{"\n\t\r\b\f\v\0\\'\"", 10};
    const char letter = source_[i];
    const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : 0;
    if (digits > 0) {
      unsigned code = 0;
      for (std::size_t k = 1; k <= digits; ++k) {
        const char c = i + k < source_.size() ? source_[i + k] : '\0';
        if (std::isxdigit(static_cast<unsigned char>(c)) == 0) refuse("a malformed escape");
        code = code * 16 + static_cast<unsigned>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
      }
      append_code_point(text, code);
      return i + digits + 1;
    }
    const std::size_t known = kLetters.find(letter);
    if (known == std::string_view::npos) {
      text += {'\\', letter};
    } else if (known < kMeanings.size()) {
      text += kMeanings[known];
    }
    return i + 1;
  }

  const std::string& name_;
  std::string source_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
  std::int64_t depth_ = 0;  // of braces inside a tag
  bool trims_all_ = false;
  bool trims_newline_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> cut_template(std::string_view text, const std::string& name) {
  return Lexer(text, name).cut();
}

}  // namespace shardquant::chat
