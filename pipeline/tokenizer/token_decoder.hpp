#pragma once

#include <string>
#include <variant>
#include <vector>

#include "pipeline/formats/json_text.hpp"

namespace shardquant::tokenizer {

/// The decoder of a tokenizer.json: makes text of the pieces of tokens.
class TokenDecoder {
 public:
  TokenDecoder() = default;  ///< none: pieces are put together with blanks between
  /// @throws Failure(bad_data) naming what is not supported
  explicit TokenDecoder(const formats::JsonNode& node);

  /// @pre every piece is valid UTF-8
  std::string decode(std::vector<std::string> pieces) const;

 private:
  struct ByteLevel {};
  struct ByteFallback {};
  struct Fuse {};
  struct Replace {
    std::string pattern, content;
  };
  struct Strip {
    std::string content;
    std::size_t start, stop;
  };
  struct Metaspace {
    std::string blank;
    bool drops_first;
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace>;
  using Pieces = std::vector<std::string>;

  void add_step(const formats::JsonNode& node);
  static void apply(const ByteLevel&, Pieces& pieces);
  static void apply(const ByteFallback&, Pieces& pieces);
  static void apply(const Fuse&, Pieces& pieces);
  static void apply(const Replace& step, Pieces& pieces);
  static void apply(const Strip& step, Pieces& pieces);
  static void apply(const Metaspace& step, Pieces& pieces);

  std::vector<Step> steps_;
};

}  // namespace shardquant::tokenizer
