#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>

namespace shardquant::allocation {

/// Which layers a rule is for. After "re:" a regular expression (ECMAScript) found anywhere in the
/// key; else a glob over the whole key: `*` any text, `?` any character, `[a-c]` one of a set,
/// `[!a-c]` one outside it.
class LayerPattern {
 public:
  /// @throws Failure 78 for an empty pattern, a set without end, or a malformed expression
  explicit LayerPattern(const std::string& text);

  bool matches(std::string_view key) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::optional<std::regex> expression_;
};

}  // namespace shardquant::allocation
