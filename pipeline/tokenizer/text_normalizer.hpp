#pragma once

#include <string>
#include <variant>
#include <vector>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/tokenizer/split_pattern.hpp"
#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

/// The normalizer of a tokenizer.json: what is done to text before it is cut into pieces.
class TextNormalizer {
 public:
  TextNormalizer() = default;  ///< none: text stays as it is
  /// @throws Failure(bad_data) naming what is not supported
  TextNormalizer(const formats::JsonNode& node, const std::string& file);

  bool changes_nothing() const { return steps_.empty(); }
  /// Applies all steps. @pre valid UTF-8
  /// @throws Failure(bad_data) where the result is longer than a text may be
  void apply(std::string& text);

 private:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    SplitPattern pattern;
    std::string literal;  // what the pattern matches, where that is one text
    std::string content;
  };
  struct Form {
    NormalForm form;
  };
  struct Lowercase {};
  struct Strip {
    bool left, right;
  };
  using Step = std::variant<Prepend, Replace, Form, Lowercase, Strip>;

  void add_step(const formats::JsonNode& node, const std::string& file);
  static std::string replaced(Replace& step, const std::string& text, std::size_t most);

  std::vector<Step> steps_;
};

}  // namespace shardquant::tokenizer
