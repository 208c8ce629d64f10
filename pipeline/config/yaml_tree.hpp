#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/failure.hpp"

namespace shardquant::config {

/// A place in a text: line and column count from 1, columns in bytes.
struct YamlPlace {
  int line = 1;
  int column = 1;
};

struct YamlEntry;

/// A value of a job file. A tree without sharing: anchors, aliases and tags do not exist here.
struct YamlNode {
  enum class Kind { null, scalar, sequence, map };

  Kind kind = Kind::null;
  YamlPlace place;
  std::string text;     ///< of a scalar
  bool quoted = false;  ///< the scalar is text whatever it looks like
  std::vector<YamlNode> items;
  std::vector<YamlEntry> entries;  ///< of a map, in the order of the file; keys differ
};

/// One key of a map.
struct YamlEntry {
  std::string key;
  YamlPlace place;
  YamlNode value;
};

/// The entry of that key in a map; null where there is none, or `node` is no map. Points into it.
const YamlEntry* find_entry(const YamlNode& node, std::string_view key);

/// What a document may cost; beyond it the text is refused.
struct YamlLimits {
  std::int64_t bytes = std::int64_t{1} << 20;
  int depth = 16;  ///< nested maps and sequences
  std::int64_t nodes = 10'000;
};

/// Throws Failure(config) with `name:line:column: path: reason`; an empty path names the document.
[[noreturn]] void fail_at(std::string_view name, YamlPlace place, std::string_view path,
                          std::string_view reason);

/// Parses one document of a small, closed part of YAML: UTF-8 without a byte order mark, blanks
/// alone for indentation, maps with plain keys, sequences, scalars. Refused, each with its place:
/// several documents, anchors, aliases, tags, merge keys, duplicate keys, tabs and other control
/// characters, and more than `limits`. `name` stands for the text in messages.
/// @throws Failure(config)
YamlNode parse_yaml(const std::string& text, std::string_view name, const YamlLimits& limits = {});

/// `text` fit for a message: control characters escaped, long text cut, between single quotes.
std::string shown(std::string_view text);

/// "allocate" and "bpw" to "allocate.bpw".
std::string joined_path(std::string_view parent, std::string_view key);

}  // namespace shardquant::config
