#include "pipeline/tokenizer/token_decoder.hpp"

#include <optional>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/byte_alphabet.hpp"
#include "pipeline/tokenizer/step_list.hpp"
#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string all_of(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

std::string with_replaced(const std::string& text, const std::string& pattern,
                          const std::string& content) {
  std::string result;
  std::size_t done = 0;
  for (std::size_t at; (at = text.find(pattern, done)) != std::string::npos;) {
    result.append(text, done, at - done).append(content);
    done = at + pattern.size();
  }
  return result.append(text, done);
}

// "<0x0A>" to its byte.
std::optional<char> byte_of_piece(const std::string& piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = 16 * value + (c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = 16 * value + (c - 'A' + 10);
    } else if (c >= 'a' && c <= 'f') {
      value = 16 * value + (c - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return static_cast<char>(value);
}

}  // namespace

TokenDecoder::TokenDecoder(const formats::JsonNode& node) {
  for_each_step(node, "decoders", [&](const formats::JsonNode& step) { add_step(step); });
}

void TokenDecoder::add_step(const formats::JsonNode& node) {
  const std::string& type = node.string("type");
  if (type == "ByteLevel") {
    steps_.emplace_back(ByteLevel{});
  } else if (type == "ByteFallback") {
    steps_.emplace_back(ByteFallback{});
  } else if (type == "Fuse") {
    steps_.emplace_back(Fuse{});
  } else if (type == "Replace") {
    const formats::JsonNode pattern = node.at("pattern");
    const std::string& literal =
        pattern.is_string() ? pattern.as_string() : pattern.string("String");
    if (literal.empty()) pattern.refuse("must not be empty");
    steps_.emplace_back(Replace{literal, node.string("content")});
  } else if (type == "Strip") {
    constexpr std::int64_t kMost = 64;
    const std::string& content = node.string("content");
    if (content.empty()) node.at("content").refuse("must not be empty");
    steps_.emplace_back(Strip{content, static_cast<std::size_t>(node.integer("start", 0, kMost)),
                              static_cast<std::size_t>(node.integer("stop", 0, kMost))});
  } else if (type == "Metaspace") {
    const std::string& blank = node.string("replacement");
    if (blank.empty()) node.at("replacement").refuse("must not be empty");
    const bool adds = node.boolean_or("add_prefix_space", true);
    steps_.emplace_back(
        Metaspace{blank, node.string_or("prepend_scheme", adds ? "always" : "never") != "never"});
  } else {
    node.at("type").refuse(fmt::format("{} is not supported", formats::json_quote(type)));
  }
}

std::string TokenDecoder::decode(std::vector<std::string> pieces) const {
  if (steps_.empty()) {
    for (std::size_t i = 1; i < pieces.size(); ++i) pieces[i].insert(0, " ");
  }
  for (const Step& step : steps_) {
    std::visit([&](const auto& one) { apply(one, pieces); }, step);
  }
  return all_of(pieces);
}

void TokenDecoder::apply(const ByteLevel&, Pieces& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += bytes_of_alphabet(piece).value_or(piece);
  pieces.assign(1, std::move(text));
}

void TokenDecoder::apply(const ByteFallback&, Pieces& pieces) {
  Pieces result;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (find_invalid_utf8(bytes) == std::string::npos) {
      result.push_back(bytes);
    } else {
      result.insert(result.end(), bytes.size(), std::string(kReplacement));
    }
    bytes.clear();
  };
  for (std::string& piece : pieces) {
    if (const auto byte = byte_of_piece(piece)) {
      bytes += *byte;
    } else {
      flush();
      result.push_back(std::move(piece));
    }
  }
  flush();
  pieces = std::move(result);
}

void TokenDecoder::apply(const Fuse&, Pieces& pieces) {
  pieces.assign(1, all_of(pieces));
}

void TokenDecoder::apply(const Replace& step, Pieces& pieces) {
  for (std::string& piece : pieces) piece = with_replaced(piece, step.pattern, step.content);
}

void TokenDecoder::apply(const Strip& step, Pieces& pieces) {
  for (std::string& piece : pieces) {
    for (std::size_t i = 0; i < step.start && piece.starts_with(step.content); ++i) {
      piece.erase(0, step.content.size());
    }
    for (std::size_t i = 0; i < step.stop && piece.ends_with(step.content); ++i) {
      piece.resize(piece.size() - step.content.size());
    }
  }
}

void TokenDecoder::apply(const Metaspace& step, Pieces& pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (i == 0 && step.drops_first && pieces[i].starts_with(step.blank)) {
      pieces[i].erase(0, step.blank.size());
    }
    pieces[i] = with_replaced(pieces[i], step.blank, " ");
  }
}

}  // namespace shardquant::tokenizer
