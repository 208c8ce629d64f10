#include "pipeline/allocation/choice_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>

#include "pipeline/allocation/layer_name.hpp"
#include "pipeline/allocation/layer_pattern.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::allocation {

namespace {

using Kind = Constraint::Kind;

// bpw of options is a rounded quotient; a floor of 4.03125 must not exclude such an option.
constexpr double kBpwTolerance = 1e-9;

std::vector<int> matching_layers(const AllocationInput& input, const std::string& pattern_text,
                                 const std::string& rule) {
  const LayerPattern pattern(pattern_text);
  std::vector<int> layers;
  for (std::size_t l = 0; l < input.layers.size(); ++l) {
    if (pattern.matches(input.layers[l].key)) layers.push_back(static_cast<int>(l));
  }
  if (layers.empty()) {
    fail(ExitCode::config, "{}: matches none of the {} layers of {}, such as {}", rule,
         input.layers.size(), input.name,
         input.layers.empty() ? "(none)" : input.layers.front().key);
  }
  return layers;
}

int pinned_option(const AllocationLayer& layer, const Constraint& constraint) {
  const std::string& wanted = constraint.option;
  const auto options = static_cast<int>(layer.options.size());
  if (wanted.starts_with('#')) {
    int index = -1;
    const char* end = wanted.data() + wanted.size();
    const auto result = std::from_chars(wanted.data() + 1, end, index);
    if (result.ec == std::errc{} && result.ptr == end && index >= 0 && index < options) {
      return index;
    }
  }
  for (int i = 0; i < options; ++i) {
    if (layer.options[i].desc == wanted) return i;
  }
  fail(ExitCode::config, "{}: layer {} has no such option; it has {} options, such as \"{}\"",
       constraint.text(), layer.key, options, layer.options.front().desc);
}

double bpw_of(const AllocationInput& input, const AllocationLayer& layer, int option,
              const Constraint& constraint) {
  if (layer.numel == 0) {
    fail(ExitCode::config, "{}: {} does not tell the number of weights of {}", constraint.text(),
         input.name, layer.key);
  }
  return static_cast<double>(layer.options[option].bits) / static_cast<double>(layer.numel);
}

bool allows(const AllocationInput& input, const Constraint& constraint, int layer_index,
            int option) {
  const AllocationLayer& layer = input.layers[layer_index];
  switch (constraint.kind) {
    case Kind::pin:
      return option == pinned_option(layer, constraint);
    case Kind::floor:
      return bpw_of(input, layer, option, constraint) >= constraint.bpw - kBpwTolerance;
    case Kind::ceiling:
      return bpw_of(input, layer, option, constraint) <= constraint.bpw + kBpwTolerance;
    default:
      return true;
  }
}

// Sets of layers that must be equal: a forest of the layers, each pointing towards its first one.
class TiedLayers {
 public:
  explicit TiedLayers(std::size_t layers) : parent_(layers) {
    std::iota(parent_.begin(), parent_.end(), 0);
  }

  int first_of(int layer) const {
    while (parent_[layer] != layer) layer = parent_[layer];
    return layer;
  }

  void tie(int a, int b) {
    const int first_a = first_of(a);
    const int first_b = first_of(b);
    parent_[std::max(first_a, first_b)] = std::min(first_a, first_b);
  }

 private:
  std::vector<int> parent_;
};

struct AppliedConstraints {
  std::vector<std::vector<char>> allowed;     // [layer][option]
  std::vector<std::vector<int>> constraints;  // [layer]: which touch it
  TiedLayers tied;
};

AppliedConstraints apply(const AllocationInput& input, const std::vector<Constraint>& constraints) {
  AppliedConstraints applied{{}, {}, TiedLayers(input.layers.size())};
  for (const AllocationLayer& layer : input.layers) {
    applied.allowed.emplace_back(layer.options.size(), 1);
  }
  applied.constraints.resize(input.layers.size());
  for (std::size_t c = 0; c < constraints.size(); ++c) {
    const Constraint& constraint = constraints[c];
    std::map<std::string, int> first_of_block;
    for (const int l : matching_layers(input, constraint.pattern, constraint.text())) {
      applied.constraints[l].push_back(static_cast<int>(c));
      for (std::size_t i = 0; i < applied.allowed[l].size(); ++i) {
        if (applied.allowed[l][i] != 0 && !allows(input, constraint, l, static_cast<int>(i))) {
          applied.allowed[l][i] = 0;
        }
      }
      if (constraint.kind == Kind::tie || constraint.kind == Kind::tie_all) {
        const std::string block = constraint.kind == Kind::tie
                                      ? split_layer_key(input.layers[l].key).block
                                      : std::string();
        applied.tied.tie(first_of_block.try_emplace(block, l).first->second, l);
      }
    }
  }
  return applied;
}

[[noreturn]] void refuse_group(const AllocationInput& input, const ChoiceGroup& group,
                               const AppliedConstraints& applied,
                               const std::vector<Constraint>& constraints) {
  std::vector<int> involved;
  for (const int l : group.layers) {
    involved.insert(involved.end(), applied.constraints[l].begin(), applied.constraints[l].end());
  }
  std::sort(involved.begin(), involved.end());
  involved.erase(std::unique(involved.begin(), involved.end()), involved.end());
  std::string names;
  for (const int c : involved) names += (names.empty() ? "" : "; ") + constraints[c].text();
  std::string layers;
  constexpr std::size_t kNamed = 8;
  for (std::size_t i = 0; i < std::min(group.layers.size(), kNamed); ++i) {
    layers += (layers.empty() ? "" : ", ") + input.layers[group.layers[i]].key;
  }
  if (group.layers.size() > kNamed) layers += ", ...";
  fail(ExitCode::config, "constraints that cannot hold together: no option is left for {}: {}",
       layers, names);
}

std::optional<int> allowed_option(const AllocationInput& input, const AppliedConstraints& applied,
                                  int layer, const std::string& desc) {
  const auto& options = input.layers[layer].options;
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (applied.allowed[layer][i] != 0 && options[i].desc == desc) return static_cast<int>(i);
  }
  return std::nullopt;
}

void fill_choices(const AllocationInput& input, const AppliedConstraints& applied,
                  ChoiceGroup& group) {
  const int first = group.layers.front();
  for (std::size_t i = 0; i < input.layers[first].options.size(); ++i) {
    if (applied.allowed[first][i] == 0) continue;
    std::vector<int> choice{static_cast<int>(i)};
    for (std::size_t m = 1; m < group.layers.size(); ++m) {
      const auto same =
          allowed_option(input, applied, group.layers[m], input.layers[first].options[i].desc);
      if (same) choice.push_back(*same);
    }
    if (choice.size() == group.layers.size()) group.choices.push_back(std::move(choice));
  }
}

}  // namespace

std::vector<ChoiceGroup> choice_groups(const AllocationInput& input,
                                       const std::vector<Constraint>& constraints,
                                       const std::vector<std::vector<int>>& ties) {
  AppliedConstraints applied = apply(input, constraints);
  for (const std::vector<int>& tied : ties) {
    for (const int l : tied) applied.tied.tie(tied.front(), l);
  }
  std::vector<ChoiceGroup> groups;
  std::vector<int> group_of(input.layers.size(), -1);
  for (int l = 0; l < static_cast<int>(input.layers.size()); ++l) {
    const int first = applied.tied.first_of(l);
    if (first == l) {
      group_of[l] = static_cast<int>(groups.size());
      groups.emplace_back();
    }
    groups[group_of[first]].layers.push_back(l);
  }
  for (ChoiceGroup& group : groups) {
    fill_choices(input, applied, group);
    if (group.choices.empty()) refuse_group(input, group, applied, constraints);
  }
  return groups;
}

std::vector<double> layer_weights(const AllocationInput& input, const LayerWeights& weights) {
  std::vector<double> result(input.layers.size(), 1.0);
  for (const LayerWeight& weight : weights) {
    const std::string rule = fmt::format("weight {}", weight.pattern);
    for (const int l : matching_layers(input, weight.pattern, rule)) result[l] = weight.weight;
  }
  return result;
}

}  // namespace shardquant::allocation
