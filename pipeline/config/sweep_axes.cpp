#include "pipeline/config/sweep_axes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "pipeline/config/nearest_name.hpp"
#include "pipeline/config/read_scalar.hpp"
#include "pipeline/config/sweep.hpp"

namespace shardquant::config {

namespace {

struct Swept {
  const char* name;
  const char* path;
  bool of_measurement;  // another value is another measurement
};

constexpr Swept kSwept[] = {
    {"bpw", "allocate.bpw", false},      {"objective", "allocate.objective", false},
    {"head_bits", kHeadBitsPath, false}, {"damping", "quantizer.damping", true},
    {"rows", "calibration.rows", true},  {"options", "measure.options", true},
};
constexpr const char* kCombine = "combine";

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  for (const Swept& swept : kSwept) keys.emplace_back(swept.name);
  keys.emplace_back(kCombine);
  return keys;
}

// Reads the section; one place for its name in messages.
class AxesReader {
 public:
  explicit AxesReader(const std::string& name) : name_(name) {}

  SweepAxes read(const YamlNode& sweep) {
    if (sweep.kind != YamlNode::Kind::map) {
      fail_at(name_, sweep.place, kSweepKey, "expects a map of lists, as {bpw: [4, 5, 6]}");
    }
    for (const YamlEntry& entry : sweep.entries) read_entry(entry);
    if (axes_.axes.empty()) {
      fail_at(name_, sweep.place, kSweepKey, "names no list of values; give one, as bpw: [4, 5]");
    }
    if (axes_.zipped) require_one_length(sweep);
    return std::move(axes_);
  }

 private:
  static std::string path_of(const std::string& key) { return joined_path(kSweepKey, key); }

  void read_entry(const YamlEntry& entry) {
    if (entry.key == kCombine) {
      const std::string& word = entry.value.text;
      if (entry.value.kind != YamlNode::Kind::scalar || (word != "product" && word != "zip")) {
        fail_at(name_, entry.value.place, path_of(kCombine), "expects product or zip");
      }
      axes_.zipped = word == "zip";
      return;
    }
    const auto* swept = std::find_if(std::begin(kSwept), std::end(kSwept),
                                     [&](const Swept& known) { return known.name == entry.key; });
    if (swept == std::end(kSwept)) refuse_key(entry);
    if (swept->path == std::string_view(kHeadBitsPath) && entry.value.kind == YamlNode::Kind::map) {
      read_rule(entry.value);
      return;
    }
    if (entry.value.kind != YamlNode::Kind::sequence || entry.value.items.empty()) {
      fail_at(name_, entry.value.place, path_of(entry.key), "expects a list of values");
    }
    axes_.axes.push_back({entry.key, find_setting(swept->path), entry.value.items});
  }

  [[noreturn]] void refuse_key(const YamlEntry& entry) const {
    const std::string nearest = nearest_name(entry.key, known_keys());
    fail_at(name_, entry.place, path_of(entry.key),
            nearest.empty()
                ? fmt::format("cannot be swept; known here: {}", fmt::join(known_keys(), ", "))
                : fmt::format("cannot be swept; did you mean {}?", nearest));
  }

  void read_rule(const YamlNode& value) {
    const std::string path = path_of("head_bits");
    const YamlEntry* otherwise = find_entry(value, "default");
    const YamlEntry* above = find_entry(value, "when_bpw_above");
    if (value.entries.size() != 2 || otherwise == nullptr || above == nullptr ||
        above->value.entries.empty()) {
      fail_at(name_, value.place, path,
              "expects a list, or a rule as {default: 6, when_bpw_above: {6: 8}}");
    }
    HeadBitsRule rule{otherwise->value, {}};
    for (const YamlEntry& entry : above->value.entries) {
      rule.above.emplace_back(threshold(entry, path), entry.value);
    }
    std::sort(rule.above.begin(), rule.above.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
    axes_.head_bits = std::move(rule);
  }

  // By the rules for allocate.bpw, with which it is compared.
  double threshold(const YamlEntry& entry, const std::string& path) const {
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.text = entry.key;
    RunConfig scratch;
    try {
      store_value(*find_setting("allocate.bpw"), node, "/", scratch);
    } catch (const BadValue& bad) {
      fail_at(name_, entry.place, path + ".when_bpw_above", bad.what());
    }
    return scratch.allocate.bpw;
  }

  void require_one_length(const YamlNode& sweep) const {
    for (const SweepAxis& axis : axes_.axes) {
      if (axis.values.size() == axes_.axes.front().values.size()) continue;
      fail_at(name_, sweep.place, path_of(kCombine),
              fmt::format("zip takes lists of one length; {} has {} values, {} has {}",
                          axes_.axes.front().name, axes_.axes.front().values.size(), axis.name,
                          axis.values.size()));
    }
  }

  const std::string& name_;
  SweepAxes axes_;
};

}  // namespace

std::string sweep_name(const std::string& path) {
  for (const Swept& swept : kSwept) {
    if (swept.path == path) return swept.name;
  }
  return {};
}

bool sweeps_measurement(const std::string& name) {
  return std::any_of(std::begin(kSwept), std::end(kSwept), [&](const Swept& swept) {
    return swept.name == name && swept.of_measurement;
  });
}

SweepAxes read_sweep_axes(const YamlNode& sweep, const std::string& name) {
  return AxesReader(name).read(sweep);
}

}  // namespace shardquant::config
