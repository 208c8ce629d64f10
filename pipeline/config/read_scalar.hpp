#pragma once

#include <filesystem>
#include <stdexcept>

#include "pipeline/config/settings_table.hpp"
#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

/// Why a value does not fit its setting, without place and path.
class BadValue : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Checks `node` against the setting's type and bounds and stores it in `config`. Numbers are
/// decimal: no leading zeros, no 0x, no `_`, no sexagesimal, no nan or inf, and nothing quoted.
/// Relative paths are resolved against `folder`, which is absolute. @throws BadValue
void store_value(const Setting& setting, const YamlNode& node, const std::filesystem::path& folder,
                 RunConfig& config);

}  // namespace shardquant::config
