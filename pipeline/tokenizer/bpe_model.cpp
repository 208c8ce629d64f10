#include "pipeline/tokenizer/bpe_model.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"
#include "pipeline/tokenizer/bpe_merge.hpp"
#include "pipeline/tokenizer/byte_alphabet.hpp"
#include "pipeline/tokenizer/unicode_text.hpp"

namespace shardquant::tokenizer {

namespace {

constexpr std::int64_t kMostPieces = std::int64_t{1} << 22;
constexpr std::int64_t kMostMerges = std::int64_t{1} << 23;
constexpr std::size_t kMostPieceBytes = 1024;
constexpr std::size_t kLowPoints = 0x10000;
constexpr std::size_t kMostCachedBytes = 48;               // of one text
constexpr std::size_t kMostCached = std::size_t{1} << 17;  // texts

// A merge as "left right" or ["left", "right"].
std::pair<std::string_view, std::string_view> merge_parts(const formats::JsonNode& merge) {
  if (merge.is_array()) {
    if (merge.size() != 2) merge.refuse("must have two parts");
    return {merge.at(0).as_string(), merge.at(1).as_string()};
  }
  const std::string_view text = merge.as_string();
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos || text.find(' ', blank + 1) != std::string_view::npos) {
    merge.refuse(
        fmt::format("{} must be two parts with a blank between", formats::json_quote(text)));
  }
  return {text.substr(0, blank), text.substr(blank + 1)};
}

void refuse_affix(const formats::JsonNode& node, std::string_view name) {
  const auto affix = node.find(name);
  if (affix && !affix->as_string().empty()) {
    affix->refuse(fmt::format("{} is not supported", formats::json_quote(affix->as_string())));
  }
}

}  // namespace

BpeModel::BpeModel(const formats::JsonNode& node, SymbolUnit unit) : unit_(unit) {
  read_options(node);
  read_vocabulary(node.at("vocab"));
  if (const auto unknown = node.find("unk_token")) {
    unknown_ = find(unknown->as_string());
    if (!unknown_) {
      unknown->refuse(
          fmt::format("{} is not in the vocabulary", formats::json_quote(unknown->as_string())));
    }
  }
  find_initial_symbols();
  read_merges(node.at("merges"));
}

std::optional<std::int32_t> BpeModel::find(std::string_view piece) const {
  const auto place = ids_.find(piece);
  if (place == ids_.end()) return std::nullopt;
  return place->second;
}

void BpeModel::read_options(const formats::JsonNode& node) {
  const std::string type = node.string_or("type", "BPE");
  if (type != "BPE") {
    node.at("type").refuse(
        fmt::format("{} is not supported; only BPE is", formats::json_quote(type)));
  }
  if (const auto dropout = node.find("dropout"); dropout && dropout->as_number(0, 1) != 0) {
    dropout->refuse("is not supported; set it to null");
  }
  refuse_affix(node, "continuing_subword_prefix");
  refuse_affix(node, "end_of_word_suffix");
  byte_fallback_ = node.boolean_or("byte_fallback", false);
  ignore_merges_ = node.boolean_or("ignore_merges", false);
  fuse_unknown_ = node.boolean_or("fuse_unk", false);
}

void BpeModel::read_vocabulary(const formats::JsonNode& node) {
  if (!node.is_object()) node.refuse("must be an object of pieces and ids");
  const std::int64_t count = node.size();
  if (count == 0 || count > kMostPieces) {
    node.refuse(fmt::format("{} pieces; from 1 to {} are accepted", count, kMostPieces));
  }
  // Holes are filled by added tokens; more of them than pieces is no vocabulary.
  const std::int64_t most_id = 2 * count + 65536;
  std::vector<bool> taken;
  ids_.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string& piece = node.member_name(i);
    const std::int64_t id = node.member(i).as_integer(0, most_id);
    const auto place = static_cast<std::size_t>(id);
    if (piece.size() > kMostPieceBytes) {
      node.member(i).refuse(fmt::format("a piece has {} bytes; at most {} are accepted",
                                        piece.size(), kMostPieceBytes));
    }
    if (place >= pieces_.size()) {
      pieces_.resize(place + 1);
      taken.resize(place + 1);
    }
    if (taken[place]) node.member(i).refuse(fmt::format("id {} is given twice", id));
    taken[place] = true;
    pieces_[place] = piece;
    ids_.emplace(piece, static_cast<std::int32_t>(id));
  }
}

void BpeModel::find_initial_symbols() {
  low_points_.assign(kLowPoints, -1);
  bytes_.fill(-1);
  if (unit_ == SymbolUnit::byte) {
    for (const auto& [piece, id] : ids_) {
      if (const auto bytes = bytes_of_alphabet(piece)) ids_of_bytes_.emplace(*bytes, id);
    }
    for (int byte = 0; byte < 256; ++byte) {
      const auto id = find(alphabet_character(static_cast<unsigned char>(byte)));
      if (id) bytes_[static_cast<std::size_t>(byte)] = *id;
    }
    return;
  }
  for (const auto& [piece, id] : ids_) {
    if (piece.empty() || sequence_bytes(piece[0]) != piece.size()) continue;
    const char32_t point = code_point_at(piece, 0);
    if (point < kLowPoints) {
      low_points_[point] = id;
    } else {
      high_points_.emplace(point, id);
    }
  }
  if (!byte_fallback_) return;
  for (int byte = 0; byte < 256; ++byte) {
    if (const auto id = find(fmt::format("<0x{:02X}>", byte))) {
      bytes_[static_cast<std::size_t>(byte)] = *id;
    }
  }
}

void BpeModel::read_merges(const formats::JsonNode& merges) {
  const std::int64_t count = merges.is_array() ? merges.size() : -1;
  if (count < 0) merges.refuse("must be an array");
  if (count > kMostMerges) {
    merges.refuse(fmt::format("{} merges; at most {} are accepted", count, kMostMerges));
  }
  merges_ = PairTable(count);
  joins_ = PairTable(count + 1);
  std::string joined;
  for (std::int64_t rank = 0; rank < count; ++rank) {
    const formats::JsonNode merge = merges.at(rank);
    const auto [left, right] = merge_parts(merge);
    joined.assign(left);
    joined += right;
    const auto left_id = find(left);
    const auto right_id = find(right);
    const auto id = find(joined);
    if (!left_id || !right_id || !id) {
      const std::string_view missing = !left_id ? left : !right_id ? right : joined;
      merge.refuse(fmt::format("{} is not in the vocabulary", formats::json_quote(missing)));
    }
    merges_.insert(*left_id, *right_id, merge_value(rank, *id));
    allow_joins(*left_id, *right_id);
  }
  if (unknown_ && fuse_unknown_) joins_.insert(*unknown_, *unknown_, 0);
}

// The first or last initial symbol of a piece; nothing where it has none and so never comes up.
std::optional<std::int32_t> BpeModel::end_symbol(std::int32_t id, bool first) const {
  const std::string& text = piece(id);
  if (text.empty()) return std::nullopt;
  std::size_t place = 0;
  if (!first) {
    place = text.size() - 1;
    while (place > 0 && (static_cast<unsigned char>(text[place]) & 0xC0) == 0x80) --place;
  }
  const std::string_view character =
      std::string_view(text).substr(place, sequence_bytes(text[place]));
  return find(character);
}

void BpeModel::allow_joins(std::int32_t left, std::int32_t right) {
  // Symbols that stand for other text than they are written with: no telling where they join.
  const auto is_stand_in = [&](std::int32_t id) {
    return id == unknown_ || (unit_ == SymbolUnit::character && byte_fallback_ &&
                              std::find(bytes_.begin(), bytes_.end(), id) != bytes_.end());
  };
  if (is_stand_in(left) || is_stand_in(right)) may_cut_ = false;
  const auto last = end_symbol(left, false);
  const auto first = end_symbol(right, true);
  if (last && first) joins_.insert(*last, *first, 0);
}

std::int32_t BpeModel::symbol_of(char32_t point) const {
  if (point < kLowPoints) return low_points_[point];
  const auto place = high_points_.find(point);
  return place == high_points_.end() ? -1 : place->second;
}

// Symbols of one character outside the vocabulary: its bytes, or the unknown token, or none.
void BpeModel::append_symbols(std::string_view character,
                              std::vector<std::int32_t>& symbols) const {
  const auto byte_symbol = [this](char c) { return bytes_[static_cast<unsigned char>(c)]; };
  const bool has_bytes = byte_fallback_ && std::all_of(character.begin(), character.end(),
                                                       [&](char c) { return byte_symbol(c) >= 0; });
  if (has_bytes) {
    for (const char c : character) symbols.push_back(byte_symbol(c));
  } else if (unknown_) {
    const bool fuses = fuse_unknown_ && !symbols.empty() && symbols.back() == *unknown_;
    if (!fuses) symbols.push_back(*unknown_);
  }
}

void BpeModel::encode(std::string_view text, std::vector<std::int32_t>& ids) {
  if (text.empty()) return;
  if (ignore_merges_) {
    const auto& whole = unit_ == SymbolUnit::byte ? ids_of_bytes_ : ids_;
    if (const auto place = whole.find(text); place != whole.end()) {
      ids.push_back(place->second);
      return;
    }
  }
  if (unit_ == SymbolUnit::byte || !may_cut_) {
    encode_part(text, ids);
    return;
  }
  // What no merge reaches across is encoded apart: short parts, most of them seen before.
  std::int32_t last = -1;
  std::size_t first = 0;
  for (std::size_t place = 0; place < text.size();) {
    std::int32_t symbol = symbol_of(code_point_at(text, place));
    if (symbol < 0 && unknown_) symbol = *unknown_;  // or bytes, which join nothing
    if (last >= 0 && symbol >= 0 && !joins_.contains(last, symbol)) {
      encode_part(text.substr(first, place - first), ids);
      first = place;
    }
    // A character that is dropped stands between two that then are neighbours: no cut there.
    if (symbol >= 0) last = symbol;
    place += sequence_bytes(text[place]);
  }
  encode_part(text.substr(first), ids);
}

void BpeModel::encode_part(std::string_view text, std::vector<std::int32_t>& ids) {
  const bool caches = text.size() <= kMostCachedBytes;
  if (caches) {
    if (const auto known = cache_.find(text); known != cache_.end()) {
      const auto first = cached_ids_.begin() + static_cast<std::ptrdiff_t>(known->second.first);
      ids.insert(ids.end(), first, first + static_cast<std::ptrdiff_t>(known->second.count));
      return;
    }
  }
  symbols_.clear();
  if (unit_ == SymbolUnit::byte) {
    for (const char c : text) {
      const std::int32_t symbol = bytes_[static_cast<unsigned char>(c)];
      if (symbol >= 0) {
        symbols_.push_back(symbol);
      } else if (unknown_) {
        symbols_.push_back(*unknown_);
      }
    }
  } else {
    for (std::size_t place = 0; place < text.size();) {
      const std::size_t bytes = sequence_bytes(text[place]);
      const std::int32_t symbol = symbol_of(code_point_at(text, place));
      if (symbol >= 0) {
        symbols_.push_back(symbol);
      } else {
        append_symbols(text.substr(place, bytes), symbols_);
      }
      place += bytes;
    }
  }
  merge_symbols(merges_, symbols_);
  ids.insert(ids.end(), symbols_.begin(), symbols_.end());
  if (!caches) return;
  if (cache_.size() >= kMostCached) {
    cache_.clear();
    cached_ids_.clear();
  }
  cache_.emplace(text, Cached{cached_ids_.size(), symbols_.size()});
  cached_ids_.insert(cached_ids_.end(), symbols_.begin(), symbols_.end());
}

}  // namespace shardquant::tokenizer
