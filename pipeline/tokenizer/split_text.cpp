#include "pipeline/tokenizer/split_text.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/step_list.hpp"
#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

namespace {

// What ByteLevel cuts at by itself: the pattern of GPT-2.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string with_blanks_replaced(std::string_view text, std::string_view blank) {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    if (c == ' ') {
      result += blank;
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace

TextSplitter::TextSplitter(const formats::JsonNode& node, const std::string& file) {
  for_each_step(node, "pretokenizers",
                [&](const formats::JsonNode& step) { add_step(step, file); });
}

void TextSplitter::add_step(const formats::JsonNode& node, const std::string& file) {
  const std::string& type = node.string("type");
  if (byte_level_) node.refuse(fmt::format("{} after ByteLevel is not supported", type));
  if (type == "Split") {
    add_split(node, file);
  } else if (type == "ByteLevel") {
    add_byte_level(node, file);
  } else if (type == "Metaspace") {
    add_metaspace(node, file);
  } else if (type == "Digits") {
    add_cut(node.boolean_or("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)",
            SplitPattern::Syntax::regex, Behavior::isolated, node.path());
  } else {
    node.at("type").refuse(fmt::format("{} is not supported", formats::json_quote(type)));
  }
}

void TextSplitter::add_cut(const std::string& pattern, SplitPattern::Syntax syntax,
                           Behavior behavior, const std::string& place) {
  cuts_.push_back({SplitPattern(pattern, syntax, place), behavior});
}

void TextSplitter::add_split(const formats::JsonNode& node, const std::string& file) {
  const formats::JsonNode named = node.at("behavior");
  const std::string& name = named.as_string();
  auto behavior = Behavior::isolated;
  if (name == "Removed") {
    behavior = Behavior::removed;
  } else if (name == "MergedWithPrevious") {
    behavior = Behavior::merged_with_previous;
  } else if (name == "MergedWithNext") {
    behavior = Behavior::merged_with_next;
  } else if (name == "Contiguous") {
    behavior = Behavior::contiguous;
  } else if (name != "Isolated") {
    named.refuse(fmt::format("{} is not supported", formats::json_quote(name)));
  }
  cuts_.push_back({SplitPattern::from_json(node.at("pattern"), file), behavior,
                   node.boolean_or("invert", false)});
}

void TextSplitter::add_byte_level(const formats::JsonNode& node, const std::string& file) {
  byte_level_ = true;
  if (node.boolean_or("add_prefix_space", true)) {
    if (!cuts_.empty() || prefix_ != Prefix::never) {
      node.refuse("add_prefix_space after another step is not supported");
    }
    prefix_ = Prefix::always;
    prefix_text_ = " ";
  }
  if (node.boolean_or("use_regex", true)) {
    add_cut(std::string(kByteLevelPattern), SplitPattern::Syntax::regex, Behavior::isolated,
            fmt::format("{}: {}", file, node.path()));
  }
}

void TextSplitter::add_metaspace(const formats::JsonNode& node, const std::string& file) {
  if (!cuts_.empty() || !blank_.empty()) {
    node.refuse("Metaspace after another step is not supported");
  }
  blank_ = node.string("replacement");
  if (blank_.empty() || sequence_bytes(blank_[0]) != blank_.size()) {
    node.at("replacement").refuse("must be one character");
  }
  const bool adds = node.boolean_or("add_prefix_space", true);
  const std::string scheme = node.string_or("prepend_scheme", adds ? "always" : "never");
  if (scheme == "always") {
    prefix_ = Prefix::always;
  } else if (scheme == "first") {
    prefix_ = Prefix::first;
  } else if (scheme != "never") {
    node.at("prepend_scheme").refuse(fmt::format("{} is unknown", formats::json_quote(scheme)));
  }
  prefix_text_ = blank_;
  if (node.boolean_or("split", true)) {
    add_cut(blank_, SplitPattern::Syntax::literal, Behavior::merged_with_next,
            fmt::format("{}: {}", file, node.path()));
  }
}

void TextSplitter::change(std::string& text, bool at_start) const {
  if (!blank_.empty()) text = with_blanks_replaced(text, blank_);
  const bool wants = prefix_ == Prefix::always || (prefix_ == Prefix::first && at_start);
  if (wants && !text.starts_with(prefix_text_)) text.insert(0, prefix_text_);
}

void TextSplitter::split(std::string& text, bool at_start, std::vector<TextRange>& pieces) {
  pieces.clear();
  if (text.empty()) return;
  change(text, at_start);
  pieces.push_back({0, text.size()});
  std::vector<TextRange> before;
  for (Cut& cut : cuts_) {
    before.swap(pieces);
    pieces.clear();
    for (const TextRange& piece : before) apply(cut, text, piece, pieces);
  }
}

void TextSplitter::apply(Cut& cut, std::string_view text, TextRange piece,
                         std::vector<TextRange>& pieces) {
  bool last_was_match = false;
  bool is_first = true;
  const auto put = [&](TextRange range, bool found) {
    const bool is_match = found != cut.inverted;
    const bool joins_last =
        !is_first &&
        ((cut.behavior == Behavior::merged_with_previous && is_match && !last_was_match) ||
         (cut.behavior == Behavior::merged_with_next && !is_match && last_was_match) ||
         (cut.behavior == Behavior::contiguous && is_match == last_was_match));
    is_first = false;
    last_was_match = is_match;
    if (cut.behavior == Behavior::removed && is_match) return;
    if (joins_last) {
      pieces.back().end = range.end;
    } else if (range.size() > 0) {
      pieces.push_back(range);
    } else {
      is_first = true;  // nothing before the next one to join
    }
  };
  std::size_t done = piece.first;
  std::size_t from = piece.first;
  while (from < piece.end) {
    const auto found = cut.pattern.find(text, piece, from);
    if (!found) break;
    if (found->first > done) put({done, found->first}, false);
    put(*found, true);
    done = found->end;
    // Past an empty match the search goes on one character further.
    from = found->size() > 0 ? done : done + sequence_bytes(text[done]);
  }
  if (done < piece.end) put({done, piece.end}, false);
}

}  // namespace shardquant::tokenizer
