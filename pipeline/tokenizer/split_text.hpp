#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/tokenizer/split_pattern.hpp"

namespace shardquant::tokenizer {

/// The pre-tokenizer of a tokenizer.json: cuts text into the pieces that merges stay within.
class TextSplitter {
 public:
  TextSplitter() = default;  ///< none: the text stays whole
  /// @throws Failure(bad_data) naming what is not supported
  TextSplitter(const formats::JsonNode& node, const std::string& file);

  /// Whether pieces go on as bytes in the byte alphabet.
  bool is_byte_level() const { return byte_level_; }

  /// Changes `text` as the steps before the first cut do, then cuts it: `pieces` are ranges of it,
  /// none of them empty. `at_start`: the text is the start of the input. @pre valid UTF-8
  void split(std::string& text, bool at_start, std::vector<TextRange>& pieces);

 private:
  enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };
  enum class Prefix { never, first, always };
  struct Cut {
    SplitPattern pattern;
    Behavior behavior = Behavior::isolated;
    bool inverted = false;
  };

  void add_step(const formats::JsonNode& node, const std::string& file);
  void add_split(const formats::JsonNode& node, const std::string& file);
  void add_byte_level(const formats::JsonNode& node, const std::string& file);
  void add_metaspace(const formats::JsonNode& node, const std::string& file);
  void add_cut(const std::string& pattern, SplitPattern::Syntax syntax, Behavior behavior,
               const std::string& place);
  void change(std::string& text, bool at_start) const;
  static void apply(Cut& cut, std::string_view text, TextRange piece,
                    std::vector<TextRange>& pieces);

  std::string prefix_text_;  // put before the text unless it begins with it
  Prefix prefix_ = Prefix::never;
  std::string blank_;  // stands for ' '; empty: blanks stay
  std::vector<Cut> cuts_;
  bool byte_level_ = false;
};

}  // namespace shardquant::tokenizer
