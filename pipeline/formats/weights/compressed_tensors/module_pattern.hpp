#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace shardquant::compressed_tensors {

/// How a target that is a pattern begins; the rest is a regular expression of Python.
inline constexpr std::string_view kPatternMark = "re:";

/// Matches module names as Python's re.match does: from the name's beginning, not to its end.
/// Bounded in time and memory, since patterns come with models.
class ModulePattern {
 public:
  /// `place` names the file and the field in messages.
  /// @throws Failure(bad_data) where it is no regular expression, or one too long or too deep
  ModulePattern(std::string_view expression, std::string place);

  /// @throws Failure(bad_data) where this takes too many steps
  bool matches(std::string_view module) const;

 private:
  struct Program;

  std::string place_;
  std::shared_ptr<const Program> program_;
};

/// The pattern of all modules below `prefix` and nothing else: for "model.layers.3.mlp.experts"
/// "re:^model\.layers\.3\.mlp\.experts\..*".
std::string pattern_below(std::string_view prefix);

}  // namespace shardquant::compressed_tensors
