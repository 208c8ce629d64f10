#include "pipeline/allocation/layer_pattern.hpp"

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

bool set_contains(std::string_view set, char c) {
  const bool negated = set.front() == '!';
  if (negated) set.remove_prefix(1);
  bool found = false;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      found = found || (set[i] <= c && c <= set[i + 2]);
      i += 2;
    } else {
      found = found || set[i] == c;
    }
  }
  return found != negated;
}

// Length of the glob's element at `place` if it matches `c`; 0 if it does not.
std::size_t match_one(std::string_view glob, std::size_t place, char c) {
  if (glob[place] == '?') return 1;
  if (glob[place] != '[') return glob[place] == c ? 1 : 0;
  const std::size_t end = end_of_set(glob, place);
  return set_contains(glob.substr(place + 1, end - place - 1), c) ? end - place + 1 : 0;
}

// Goes back to the last star only: enough for globs, and at most |glob| * |text| steps.
bool glob_matches(std::string_view glob, std::string_view text) {
  std::size_t g = 0;
  std::size_t t = 0;
  std::size_t after_star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      after_star = ++g;
      star_text = t;
      continue;
    }
    const std::size_t matched = g < glob.size() ? match_one(glob, g, text[t]) : 0;
    if (matched > 0) {
      g += matched;
      ++t;
    } else if (after_star != std::string_view::npos) {
      g = after_star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
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
  if (!expression_) return glob_matches(text_, key);
  try {
    return std::regex_search(key.begin(), key.end(), *expression_);
  } catch (const std::regex_error& error) {
    fail(ExitCode::config, "pattern {}: cannot be matched: {}", text_, error.what());
  }
}

}  // namespace shardquant::allocation
