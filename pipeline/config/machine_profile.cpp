#include "pipeline/config/machine_profile.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>

#include "pipeline/config/nearest_name.hpp"
#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

namespace {

// Reads keys one after the other; what nobody asked for is an error.
class ProfileReader {
 public:
  ProfileReader(const YamlNode& root, std::string name) : root_(root), name_(std::move(name)) {
    if (root.kind != YamlNode::Kind::map) fail_at(name_, root.place, "", "expects a map");
  }

  const YamlEntry& entry(const std::string& section, const std::string& key) {
    const YamlNode& map = section.empty() ? root_ : entry("", section).value;
    if (map.kind != YamlNode::Kind::map) fail_at(name_, map.place, section, "expects a map");
    const std::string path = joined_path(section, key);
    for (const YamlEntry& found : map.entries) {
      if (found.key != key) continue;
      known_.push_back(path);
      return found;
    }
    fail_at(name_, map.place, path, "missing");
  }

  double number(const std::string& section, const std::string& key, double least) {
    const YamlEntry& found = entry(section, key);
    const std::string& text = found.value.text;
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size();
    if (found.value.kind != YamlNode::Kind::scalar || found.value.quoted || !whole ||
        !std::isfinite(value) || value < least) {
      fail_at(name_, found.value.place, joined_path(section, key),
              fmt::format("expects a number of at least {}, found {}", least, shown(text)));
    }
    return value;
  }

  std::int64_t integer(const std::string& section, const std::string& key) {
    const double value = number(section, key, 1.0);
    if (value != std::floor(value) || value > 1e6) {
      fail_at(name_, entry(section, key).value.place, joined_path(section, key),
              "expects an integer from 1 to 1000000");
    }
    return static_cast<std::int64_t>(value);
  }

  std::string word(const std::string& key, const std::vector<std::string>& words = {}) {
    const YamlEntry& found = entry("", key);
    const bool fits =
        words.empty() || std::find(words.begin(), words.end(), found.value.text) != words.end();
    if (found.value.kind != YamlNode::Kind::scalar || !fits) {
      fail_at(name_, found.value.place, key,
              words.empty() ? "expects a text" : "expects per_thread or per_rank");
    }
    return found.value.text;
  }

  void refuse_unknown() const { refuse_unknown_in(root_, ""); }

 private:
  void refuse_unknown_in(const YamlNode& map, const std::string& section) const {
    for (const YamlEntry& found : map.entries) {
      const std::string path = joined_path(section, found.key);
      if (std::find(known_.begin(), known_.end(), path) == known_.end()) {
        const std::string near = nearest_name(path, known_);
        fail_at(name_, found.place, path,
                "unknown key" + (near.empty() ? "" : "; did you mean " + near + "?"));
      }
      if (found.value.kind == YamlNode::Kind::map) refuse_unknown_in(found.value, found.key);
    }
  }

  const YamlNode& root_;
  std::string name_;
  std::vector<std::string> known_;
};

}  // namespace

MachineProfile parse_machine_profile(const std::string& text, const std::string& name) {
  const YamlNode root = parse_yaml(text, name);
  ProfileReader reader(root, name);
  if (reader.number("", "version", 1.0) != 1.0) {
    fail_at(name, root.place, "version", "expects 1");
  }
  MachineProfile profile;
  profile.name = std::filesystem::path(name).stem().string();
  profile.about = reader.word("about");
  profile.ranks_per_node = reader.integer("node", "ranks");
  profile.cores_per_node = reader.integer("node", "cores");
  profile.host_gib = reader.number("node", "host_gib", 0.1);
  profile.device_gib = reader.number("device", "memory_gib", 0.0);
  profile.per_thread = reader.word("rates_are", {"per_thread", "per_rank"}) == "per_thread";
  constexpr double kLeast = 1e-6;
  profile.forward_gflops = reader.number("", "forward_gflops", kLeast);
  profile.hessian_gflops = reader.number("", "hessian_gflops", kLeast);
  profile.factor_gflops = reader.number("", "factor_gflops", kLeast);
  profile.update_gflops = reader.number("", "update_gflops", kLeast);
  profile.search_gsteps = reader.number("", "search_gsteps", kLeast);
  profile.sweep_gweights = reader.number("", "sweep_gweights", kLeast);
  profile.read_gb_s = reader.number("", "read_gb_s", kLeast);
  profile.write_gb_s = reader.number("", "write_gb_s", kLeast);
  profile.network_gb_s = reader.number("", "network_gb_s", kLeast);
  reader.refuse_unknown();
  return profile;
}

MachineProfile find_machine_profile(const std::string& name_or_file) {
  if (name_or_file.ends_with(".yaml")) {
    std::ifstream file(name_or_file, std::ios::binary);
    if (!file) fail(ExitCode::no_input, "{}: no such machine profile", name_or_file);
    return parse_machine_profile({std::istreambuf_iterator<char>(file), {}}, name_or_file);
  }
  std::string known;
  for (const detail::BuiltInProfile& profile : detail::built_in_profiles()) {
    if (profile.name == name_or_file) {
      return parse_machine_profile(profile.text, std::string(profile.name) + ".yaml");
    }
    known += (known.empty() ? "" : ", ") + std::string(profile.name);
  }
  fail(ExitCode::config, "machine {}: unknown; known are {}, or name a file that ends in .yaml",
       shown(name_or_file), known);
}

std::vector<std::string> machine_profile_names() {
  std::vector<std::string> names;
  for (const detail::BuiltInProfile& profile : detail::built_in_profiles()) {
    names.emplace_back(profile.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace shardquant::config
