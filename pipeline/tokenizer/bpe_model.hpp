#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/tokenizer/pair_table.hpp"
#include "pipeline/tokenizer/text_map.hpp"

namespace shardquant::tokenizer {

/// What a piece of text is cut into before pairs are merged.
enum class SymbolUnit { character, byte };

/// The model of a tokenizer.json: a vocabulary and ranked merges.
class BpeModel {
 public:
  /// `node` is the member "model" of the file. With SymbolUnit::byte the vocabulary is written in
  /// the byte alphabet. @throws Failure(bad_data)
  BpeModel(const formats::JsonNode& node, SymbolUnit unit);

  /// Ids of the vocabulary lie in [0, id_end()); some may have no piece.
  std::int32_t id_end() const { return static_cast<std::int32_t>(pieces_.size()); }
  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }
  /// As the file writes it; empty for an id without one.
  const std::string& piece(std::int32_t id) const { return pieces_[static_cast<std::size_t>(id)]; }
  std::optional<std::int32_t> find(std::string_view piece) const;

  /// Appends the ids of one pre-token. @pre valid UTF-8 where the unit is the character
  void encode(std::string_view text, std::vector<std::int32_t>& ids);

 private:
  struct Cached {
    std::size_t first = 0;
    std::size_t count = 0;
  };

  void read_vocabulary(const formats::JsonNode& node);
  void read_options(const formats::JsonNode& node);
  void read_merges(const formats::JsonNode& merges);
  void find_initial_symbols();
  void allow_joins(std::int32_t left, std::int32_t right);
  std::optional<std::int32_t> end_symbol(std::int32_t id, bool first) const;
  std::int32_t symbol_of(char32_t point) const;
  void append_symbols(std::string_view character, std::vector<std::int32_t>& symbols) const;
  void encode_part(std::string_view text, std::vector<std::int32_t>& ids);

  SymbolUnit unit_;
  std::vector<std::string> pieces_;       // by id, as written
  TextMap<std::int32_t> ids_;             // by piece, as written
  TextMap<std::int32_t> ids_of_bytes_;    // by bytes; where the unit is the byte
  std::vector<std::int32_t> low_points_;  // symbols of characters below U+10000; -1: none
  std::unordered_map<char32_t, std::int32_t> high_points_;
  std::array<std::int32_t, 256> bytes_;  // symbols of bytes, or byte tokens <0x..>; -1: none
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  bool fuse_unknown_ = false;
  std::optional<std::int32_t> unknown_;
  PairTable merges_{0};
  /// Pairs of initial symbols between which a merge may reach; anywhere else text may be cut.
  PairTable joins_{0};
  bool may_cut_ = true;
  std::vector<std::int32_t> symbols_;  // of the part being encoded
  TextMap<Cached> cache_;
  std::vector<std::int32_t> cached_ids_;
};

}  // namespace shardquant::tokenizer
