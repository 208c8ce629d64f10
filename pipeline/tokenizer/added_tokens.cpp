#include "pipeline/tokenizer/added_tokens.hpp"

#include <algorithm>

#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

namespace {

bool ends_with_word(std::string_view text) {
  std::size_t place = text.size() - 1;
  while (place > 0 && (static_cast<unsigned char>(text[place]) & 0xC0) == 0x80) --place;
  return is_word(code_point_at(text, place));
}

}  // namespace

void AddedTokenFinder::add(std::string_view pattern, const AddedToken& token) {
  std::int32_t node = 0;
  for (const char c : pattern) {
    const auto fresh = static_cast<std::int32_t>(nodes_.size());
    const auto [place, is_new] = nodes_[static_cast<std::size_t>(node)].next.emplace(c, fresh);
    node = place->second;
    if (is_new) nodes_.emplace_back();
  }
  nodes_[static_cast<std::size_t>(node)].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
}

std::int32_t AddedTokenFinder::longest_at(std::string_view text, std::size_t place,
                                          std::size_t& end) const {
  std::int32_t found = -1;
  const Node* node = &nodes_[0];
  for (std::size_t i = place; i < text.size(); ++i) {
    const auto next = node->next.find(text[i]);
    if (next == node->next.end()) break;
    node = &nodes_[static_cast<std::size_t>(next->second)];
    if (node->token < 0) continue;
    found = node->token;
    end = i + 1;
  }
  return found;
}

void AddedTokenFinder::split(std::string_view text, std::vector<TokenOrText>& parts) const {
  bool starts[256] = {};
  for (const auto& [c, node] : nodes_[0].next) starts[static_cast<unsigned char>(c)] = true;
  std::size_t done = 0;
  for (std::size_t place = 0; place < text.size();) {
    if (!starts[static_cast<unsigned char>(text[place])]) {
      ++place;
      continue;
    }
    std::size_t end = 0;
    const std::int32_t index = longest_at(text, place, end);
    if (index < 0) {
      ++place;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    std::size_t first = place;
    place = end;
    const bool touches_word = (first > 0 && ends_with_word(text.substr(0, first))) ||
                              (end < text.size() && is_word(code_point_at(text, end)));
    if (token.single_word && touches_word) continue;
    if (token.lstrip) first = std::max(done, trailing_space_start(text.substr(0, first)));
    if (token.rstrip) end += leading_space_bytes(text.substr(end));
    if (first > done) parts.push_back({-1, done, first});
    parts.push_back({token.id, first, end});
    done = end;
    place = std::max(place, end);
  }
  if (done < text.size()) parts.push_back({-1, done, text.size()});
}

}  // namespace shardquant::tokenizer
