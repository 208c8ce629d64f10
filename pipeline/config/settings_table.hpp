#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pipeline/config/run_config.hpp"

namespace shardquant::config {

/// A setting's value in a RunConfig.
template <class Value>
using Field = Value& (*)(RunConfig&);

struct IntegerSetting {
  Field<std::int64_t> field;
  std::int64_t least = 0;
  std::int64_t most = 0;
};

/// An integer of which only some values make sense.
struct IntegerChoiceSetting {
  Field<std::int64_t> field;
  std::vector<std::int64_t> values;
};

struct RealSetting {
  Field<double> field;
  double least = 0.0;
  double most = 0.0;
};

struct WordSetting {
  Field<std::string> field;
  std::vector<std::string> words;
};

struct PathSetting {
  Field<std::filesystem::path> field;
};

/// Any text up to a length, the empty one included.
struct TextSetting {
  Field<std::string> field;
  std::int64_t most_bytes = 0;
  bool may_be_absent = false;  ///< empty: not given
};

/// A list of texts, one of which may stand without the list.
struct TextListSetting {
  Field<std::vector<std::string>> field;
};

/// A list of maps {path, kind, field, weight}, only path being required.
struct SourceListSetting {
  Field<std::vector<RunConfig::Source>> field;
};

/// One row of the table: all that the parser, the range check, the resolved text and the reference
/// page know of a setting. The default is the value in RunConfig{}.
struct Setting {
  std::string path;  ///< "section.key", or "key" at the top of the file
  std::variant<IntegerSetting, IntegerChoiceSetting, RealSetting, WordSetting, PathSetting,
               TextSetting, TextListSetting, SourceListSetting>
      type;
  bool required = false;  ///< there is no default
  std::string description;

  std::string section() const;  ///< empty at the top of the file
  std::string key() const;
};

/// Every setting of schema version 1, those of a section together, in the order of the file.
const std::vector<Setting>& settings_table();

/// The setting of that path, or null.
const Setting* find_setting(std::string_view path);

/// The values a setting takes, as one phrase: "an integer from 1 to 1024", "pooled or row_mean".
std::string allowed_values(const Setting& setting);

/// The words that `kind` of a source may be.
const std::vector<std::string>& source_kinds();

/// False for what was not given and has no default, and for a default that what was given replaces.
bool has_value(const Setting& setting, const RunConfig& config);

/// The setting's value in `config` as YAML; reading it back gives the same value.
std::string value_text(const Setting& setting, const RunConfig& config);

}  // namespace shardquant::config
