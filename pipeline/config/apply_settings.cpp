#include "pipeline/config/apply_settings.hpp"

#include <algorithm>

#include "pipeline/allocation/constraint.hpp"
#include "pipeline/config/nearest_name.hpp"
#include "pipeline/config/read_scalar.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"

namespace shardquant::config {

namespace {

// The keys of a section, or those at the top of the file, sections included.
std::vector<std::string> keys_in(const std::string& section) {
  std::vector<std::string> keys;
  for (const Setting& setting : settings_table()) {
    std::string key;
    if (setting.section() == section) {
      key = setting.key();
    } else if (section.empty()) {
      key = setting.section();
    }
    if (!key.empty() && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  return keys;
}

bool is_section(const std::string& name) {
  const auto& table = settings_table();
  return !name.empty() && std::any_of(table.begin(), table.end(), [&](const Setting& setting) {
    return setting.section() == name;
  });
}

// What an unknown key may have been meant for.
std::string key_hint(const std::string& section, const std::string& key) {
  if (key.find_first_not_of("0123456789") == std::string::npos) {
    return "; in a number the point stands for the comma, as 4.0";
  }
  const std::string sibling = nearest_name(key, keys_in(section));
  if (!sibling.empty()) return fmt::format("; did you mean {}?", joined_path(section, sibling));
  for (const Setting& setting : settings_table()) {
    if (setting.key() == key) return fmt::format("; did you mean {}?", setting.path);
  }
  std::string known;
  for (const std::string& name : keys_in(section)) known += (known.empty() ? "" : ", ") + name;
  return fmt::format("; known here: {}", known);
}

// What stands for an override in messages.
std::string override_name(const std::string& text) {
  const std::string plain = shown(text);
  return fmt::format("-s {}", std::string_view(plain).substr(1, plain.size() - 2));
}

std::string override_key_complaint(const std::string& path) {
  if (is_section(path)) {
    return fmt::format("{} is a section; set one of its keys, as {}.{}=...", path, path,
                       keys_in(path).front());
  }
  const std::size_t dot = path.find('.');
  const std::string section = dot == std::string::npos ? "" : path.substr(0, dot);
  if (section.empty()) return "unknown setting" + key_hint("", path);
  if (!is_section(section)) return "unknown section" + key_hint("", section);
  return "unknown setting" + key_hint(section, path.substr(dot + 1));
}

// The value of an override as YAML reads it. A comment or the like in it is no part of the value:
// better an error than a path cut short.
YamlNode override_value(const std::string& text, const std::string& name) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  const std::string trimmed = text.substr(first, text.find_last_not_of(' ') + 1 - first);
  YamlNode node = parse_yaml(trimmed, name);
  if (node.kind == YamlNode::Kind::scalar && !node.quoted && node.text != trimmed) {
    fail(ExitCode::config, "{}: only {} of it is the value; put it in quotes", name,
         shown(node.text));
  }
  return node;
}

}  // namespace

void SettingsReader::apply_file(const YamlNode& root, const std::string& name,
                                const std::filesystem::path& folder) {
  name_ = name;
  folder_ = folder;
  places_[""] = fmt::format("{}:{}:{}: ", name, root.place.line, root.place.column);
  if (root.kind != YamlNode::Kind::map) {
    fail_at(name, root.place, "", "expects a map of settings; see configs/settings_reference.md");
  }
  apply_version(root);
  for (const YamlEntry& entry : root.entries) apply_entry(entry, "");
}

// First of all: under another version, whatever else is wrong may be right.
void SettingsReader::apply_version(const YamlNode& root) {
  for (const YamlEntry& entry : root.entries) {
    if (entry.key == "version") apply_entry(entry, "");
  }
}

void SettingsReader::apply_entry(const YamlEntry& entry, const std::string& section) {
  const std::string path = joined_path(section, entry.key);
  const YamlNode& value = entry.value;
  const std::string place = fmt::format("{}:{}:{}: ", name_, entry.place.line, entry.place.column);
  if (section.empty() && is_section(entry.key)) {
    if (value.kind != YamlNode::Kind::map) {
      fail_at(name_, value.place, path, "expects a map of settings");
    }
    places_[path] = place;
    for (const YamlEntry& inner : value.entries) apply_entry(inner, entry.key);
    return;
  }
  const Setting* setting = entry.key.find('.') == std::string::npos ? find_setting(path) : nullptr;
  if (setting == nullptr) {
    fail_at(name_, entry.place, path, "unknown setting" + key_hint(section, entry.key));
  }
  apply_value(*setting, value, path);
}

void SettingsReader::apply_value(const Setting& setting, const YamlNode& value,
                                 const std::string& path) {
  store(setting, value, folder_,
        fmt::format("{}:{}:{}: {}: ", name_, value.place.line, value.place.column, path));
}

void SettingsReader::apply_override(const std::string& text) {
  const std::string name = override_name(text);
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) {
    fail(ExitCode::config, "{}: expects key=value, as allocate.bpw=3.5", name);
  }
  const std::string path = text.substr(0, equals);
  const Setting* setting = find_setting(path);
  if (setting == nullptr) fail(ExitCode::config, "{}: {}", name, override_key_complaint(path));
  store(*setting, override_value(text.substr(equals + 1), name), std::filesystem::current_path(),
        name + ": ");
}

void SettingsReader::store(const Setting& setting, const YamlNode& node,
                           const std::filesystem::path& folder, const std::string& prefix) {
  try {
    store_value(setting, node, folder, config_);
  } catch (const BadValue& bad) {
    throw Failure(ExitCode::config, prefix + bad.what());
  }
  places_[setting.path] = prefix;
}

void SettingsReader::require_one_source() const {
  const RunConfig::Calibration& calibration = config_.calibration;
  const int given = static_cast<int>(!calibration.tokens.empty()) +
                    static_cast<int>(!calibration.text.empty()) +
                    static_cast<int>(!calibration.sources.empty());
  const auto section = places_.find("calibration");
  const std::string& place = section != places_.end() ? section->second : places_.at("");
  if (given != 1) {
    throw Failure(ExitCode::config,
                  fmt::format("{}calibration: {}; one of tokens, text and sources is wanted", place,
                              given == 0 ? "tokens are missing" : "given more than once"));
  }
  const bool keeps_apart = calibration.measurement_rows > 0 || calibration.validation_rows > 0;
  if (!calibration.tokens.empty() && keeps_apart) {
    throw Failure(ExitCode::config,
                  fmt::format("{}calibration: measurement_rows and validation_rows are taken from "
                              "text or sources; put the tokens into sources",
                              place));
  }
}

void SettingsReader::require_one_budget() const {
  std::string given;
  std::string place;
  int count = 0;
  for (const char* path : {"allocate.bpw", "allocate.size", "allocate.plan"}) {
    const auto found = places_.find(path);
    if (found == places_.end()) continue;
    given += (count == 0 ? "" : " and ") + std::string(path);
    place = found->second;
    ++count;
  }
  if (count < 2) return;
  throw Failure(ExitCode::config, fmt::format("{}{} are given; one of them says how many bits "
                                              "there are",
                                              place, given));
}

void SettingsReader::require_other_folders() const {
  const RunConfig::Work& work = config_.work;
  for (const auto& [path, folder] : {std::pair{"work.measured_in", work.measured_in},
                                     std::pair{"work.hessians_in", work.hessians_in}}) {
    if (folder.empty() || folder != work.dir) continue;
    throw Failure(ExitCode::config,
                  fmt::format("{}is work.dir itself; name another job's folder, or leave it out",
                              places_.at(path)));
  }
}

// Rules on layers are read where they are written, long before a measurement meets them.
void SettingsReader::require_readable_rules() const {
  using Kind = allocation::Constraint::Kind;
  const RunConfig::Allocate& allocate = config_.allocate;
  for (const auto& [kind, rules] : {std::pair{Kind::pin, &allocate.pin},
                                    {Kind::floor, &allocate.floor},
                                    {Kind::ceiling, &allocate.ceiling},
                                    {Kind::tie, &allocate.tie},
                                    {Kind::tie_all, &allocate.tie_all}}) {
    for (const std::string& rule : *rules) {
      try {
        allocation::parse_constraint(kind, rule);
      } catch (const Failure& failure) {
        const auto path = fmt::format("allocate.{}", allocation::constraint_name(kind));
        throw Failure(failure.code(), places_.at(path) + failure.what());
      }
    }
  }
}

RunConfig SettingsReader::finish() const {
  for (const Setting& setting : settings_table()) {
    if (!setting.required || places_.contains(setting.path)) continue;
    const auto section = places_.find(setting.section());
    const std::string& place = section != places_.end() ? section->second : places_.at("");
    throw Failure(ExitCode::config, fmt::format("{}{}: missing; expects {}", place, setting.path,
                                                allowed_values(setting)));
  }
  require_one_source();
  require_one_budget();
  require_other_folders();
  require_readable_rules();
  if (config_.quantizer.shrink_low > config_.quantizer.shrink_high) {
    const auto low = places_.find("quantizer.shrink_low");
    const auto place = low != places_.end() ? low : places_.find("quantizer.shrink_high");
    throw Failure(ExitCode::config,
                  fmt::format("{}shrink_low is {}, above shrink_high, which is {}", place->second,
                              config_.quantizer.shrink_low, config_.quantizer.shrink_high));
  }
  RunConfig config = config_;
  const weights::WeightFormat& format = *weights::find_weight_format(config.output.format);
  if (!places_.contains("allocate.head_bits")) {
    config.allocate.head_bits = format.default_head_bits();
  }
  if (config.measure.asymmetric == "true" && format.with_asymmetric() == nullptr) {
    throw Failure(ExitCode::config, fmt::format("{}output.format {} has no asymmetric options",
                                                places_.at("measure.asymmetric"), format.name()));
  }
  return config;
}

}  // namespace shardquant::config
