#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::tokenizer {

/// A token that is looked for in the text before anything else is done to it.
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  ///< only between characters that are no part of a word
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool normalized = false;   ///< looked for in normalized text
  bool special = false;      ///< left out of decoded text
};

/// A part of a text: one added token, or what lies between.
struct TokenOrText {
  std::int32_t id = -1;  ///< -1: text
  std::size_t first = 0;
  std::size_t end = 0;
};

/// Finds added tokens in text: the leftmost, of several the longest.
class AddedTokenFinder {
 public:
  static constexpr std::size_t kMaxBytes = 256;  ///< of what is looked for

  /// Looks for `pattern`, which stands for `token`. Of two of the same text the last counts.
  /// @pre 1 <= pattern.size() <= kMaxBytes
  void add(std::string_view pattern, const AddedToken& token);
  bool empty() const { return tokens_.empty(); }

  /// Appends the parts of `text` in order; parts of text are not empty. @pre valid UTF-8
  void split(std::string_view text, std::vector<TokenOrText>& parts) const;

 private:
  struct Node {
    std::map<char, std::int32_t> next;
    std::int32_t token = -1;  // in tokens_
  };

  std::int32_t longest_at(std::string_view text, std::size_t place, std::size_t& end) const;

  std::vector<Node> nodes_{1};
  std::vector<AddedToken> tokens_;
};

}  // namespace shardquant::tokenizer
