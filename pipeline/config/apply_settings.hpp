#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "pipeline/config/run_config.hpp"
#include "pipeline/config/settings_table.hpp"
#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

/// Fills a RunConfig from a job file, then from overrides, by the rules of the settings table.
class SettingsReader {
 public:
  /// `name` stands for the job file in messages. Relative paths are resolved against `folder`.
  /// @throws Failure(config)
  void apply_file(const YamlNode& root, const std::string& name,
                  const std::filesystem::path& folder);

  /// Applies "section.key=value"; the value is read as YAML. Relative paths are resolved against
  /// the current folder. @throws Failure(config)
  void apply_override(const std::string& text);

  /// Sets one setting to a value from the job file's tree; `path` names the place in messages.
  /// @pre apply_file was called @throws Failure(config)
  void apply_value(const Setting& setting, const YamlNode& value, const std::string& path);

  /// The job, once what is required was given and the settings fit together.
  /// @throws Failure(config)
  RunConfig finish() const;

 private:
  // Where a setting or a section was given: the start of a message about it.
  using Places = std::map<std::string, std::string>;

  void apply_version(const YamlNode& root);
  void apply_entry(const YamlEntry& entry, const std::string& section);
  void require_one_source() const;
  void require_one_budget() const;
  void require_other_folders() const;
  void require_readable_rules() const;
  void store(const Setting& setting, const YamlNode& node, const std::filesystem::path& folder,
             const std::string& prefix);

  RunConfig config_;
  std::string name_;
  std::filesystem::path folder_;
  Places places_;
};

}  // namespace shardquant::config
