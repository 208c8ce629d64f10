#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_entry.hpp"
#include "pipeline/formats/weights/compressed_tensors/module_pattern.hpp"

namespace shardquant::compressed_tensors {

/// Which scheme a module has.
class SchemeLookup {
 public:
  /// `file` names the source in messages. @throws Failure(bad_data) where a pattern is none
  SchemeLookup(const CompressedTensorsEntry& entry, const std::string& file);

  /// The module's scheme; nothing where it is ignored or no target is it. An exact name goes before
  /// patterns. @throws Failure(bad_data) where patterns of different schemes match, or one takes
  /// too long
  std::optional<PackQuantizedScheme> find(std::string_view module) const;

 private:
  using NamedScheme = std::pair<std::string, PackQuantizedScheme>;
  using PatternScheme = std::pair<ModulePattern, PackQuantizedScheme>;

  bool is_ignored(std::string_view module) const;

  std::string file_;
  std::vector<NamedScheme> names_;  // sorted
  std::vector<PatternScheme> patterns_;
  std::vector<std::string> ignored_names_;  // sorted
  std::vector<ModulePattern> ignored_patterns_;
};

}  // namespace shardquant::compressed_tensors
