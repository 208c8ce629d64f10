#include "pipeline/allocation/layer_pattern.hpp"

#include <fnmatch.h>

#include "pipeline/failure.hpp"

namespace shardquant::allocation {

namespace {

constexpr std::string_view kExpressionPrefix = "re:";

// The closing bracket of the set that begins at `begin`; npos if there is none. A bracket right
// after the opening belongs to the set.
std::size_t end_of_set(std::string_view glob, std::size_t begin) {
  std::size_t first = begin + 1;
  if (first < glob.size() && glob[first] == '!') ++first;
  return glob.find(']', first + 1);
}

void check_sets(std::string_view glob) {
  for (std::size_t i = 0; i < glob.size(); ++i) {
    if (glob[i] != '[') continue;
    const std::size_t end = end_of_set(glob, i);
    if (end == std::string_view::npos) {
      fail(ExitCode::config, "pattern {}: the set that begins with [ has no end", glob);
    }
    i = end;
  }
}

}  // namespace

LayerPattern::LayerPattern(const std::string& text) : text_(text) {
  if (!text.starts_with(kExpressionPrefix)) {
    if (text.empty()) fail(ExitCode::config, "a pattern for layers is empty");
    check_sets(text);
    return;
  }
  try {
    expression_.emplace(text.substr(kExpressionPrefix.size()));
  } catch (const std::regex_error& error) {
    fail(ExitCode::config, "pattern {}: no regular expression: {}", text, error.what());
  }
}

bool LayerPattern::matches(std::string_view key) const {
  if (!expression_) {
    return ::fnmatch(text_.c_str(), std::string(key).c_str(), FNM_NOESCAPE) == 0;
  }
  try {
    return std::regex_search(key.begin(), key.end(), *expression_);
  } catch (const std::regex_error& error) {
    fail(ExitCode::config, "pattern {}: cannot be matched: {}", text_, error.what());
  }
}

}  // namespace shardquant::allocation
