#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/formats/json_text.hpp"

namespace shardquant::tokenizer {

/// Bytes [first, end) of a text.
struct TextRange {
  std::size_t first = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - first; }
  bool operator==(const TextRange&) const = default;
};

/// A pattern of a tokenizer.json, matched by PCRE2 with Unicode properties. What a hostile pattern
/// may cost is bounded: its length, its nesting and the size of its program when it is compiled;
/// steps, memory and processor time when it is matched.
///
/// The library that tokenizers are trained with (Oniguruma) differs in a few escapes; those are
/// refused.
class SplitPattern {
 public:
  enum class Syntax { regex, literal };

  /// `place` names file and field in messages. @throws Failure(bad_data): no valid pattern, or more
  /// than it may be
  SplitPattern(const std::string& pattern, Syntax syntax, std::string place);
  /// From {"Regex": "..."} or {"String": "..."}, or a plain string, which is literal.
  static SplitPattern from_json(const formats::JsonNode& node, const std::string& file);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) = delete;

  /// The leftmost match in text[range.first, range.end) that begins at `from` or later; the text
  /// outside the range does not exist for it. May be empty. @pre valid UTF-8; range.first <= from
  /// @throws Failure(bad_data) where it takes too long
  std::optional<TextRange> find(std::string_view text, TextRange range, std::size_t from);

 private:
  struct Program;

  std::optional<TextRange> match_at(std::string_view text, std::size_t place);
  int attempt(std::string_view text, std::size_t place, std::uint32_t steps, std::size_t window);
  [[noreturn]] void refuse_cost(std::string_view text, std::size_t place) const;

  std::string place_;
  std::unique_ptr<Program> program_;
};

}  // namespace shardquant::tokenizer
