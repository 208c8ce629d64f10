#include "pipeline/formats/weights/compressed_tensors/scheme_lookup.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::compressed_tensors {

SchemeLookup::SchemeLookup(const CompressedTensorsEntry& entry, const std::string& file)
    : file_(file) {
  const auto pattern = [&](const std::string& target, std::string_view field) {
    return ModulePattern(std::string_view(target).substr(kPatternMark.size()),
                         fmt::format("{}: quantization_config: {}", file, field));
  };
  for (const TargetScheme& target : entry.targets) {
    if (target.target.starts_with(kPatternMark)) {
      patterns_.emplace_back(pattern(target.target, "targets"), target.scheme);
    } else {
      names_.emplace_back(target.target, target.scheme);
    }
  }
  for (const std::string& target : entry.ignore) {
    if (target.starts_with(kPatternMark)) {
      ignored_patterns_.push_back(pattern(target, "ignore"));
    } else {
      ignored_names_.push_back(target);
    }
  }
  std::sort(names_.begin(), names_.end());
  std::sort(ignored_names_.begin(), ignored_names_.end());
}

bool SchemeLookup::is_ignored(std::string_view module) const {
  return std::binary_search(ignored_names_.begin(), ignored_names_.end(), module) ||
         std::any_of(ignored_patterns_.begin(), ignored_patterns_.end(),
                     [&](const ModulePattern& pattern) { return pattern.matches(module); });
}

std::optional<PackQuantizedScheme> SchemeLookup::find(std::string_view module) const {
  if (is_ignored(module)) return std::nullopt;
  const auto named = std::lower_bound(
      names_.begin(), names_.end(), module,
      [](const NamedScheme& entry, std::string_view name) { return entry.first < name; });
  if (named != names_.end() && named->first == module) return named->second;
  std::optional<PackQuantizedScheme> found;
  for (const auto& [pattern, scheme] : patterns_) {
    if (!pattern.matches(module)) continue;
    if (found && *found != scheme) {
      fail(ExitCode::bad_data, "{}: quantization_config: module {}: patterns give it {} and {}",
           file_, formats::json_quote(module), pack_quantized_name(*found),
           pack_quantized_name(scheme));
    }
    found = scheme;
  }
  return found;
}

}  // namespace shardquant::compressed_tensors
