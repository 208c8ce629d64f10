#include "pipeline/config/read_scalar.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "pipeline/config/check_encoding.hpp"
#include "pipeline/config/nearest_name.hpp"

namespace shardquant::config {

namespace {

std::string kind_name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::sequence:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
    case YamlNode::Kind::scalar:
      break;
  }
  return "a value";
}

std::size_t count_digits(std::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
  return count;
}

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  return text;
}

bool has_leading_zero(std::string_view text) {
  text = without_sign(text);
  return text.size() > 1 && text[0] == '0' && count_digits(text) > 1;
}

bool is_integer(std::string_view text) {
  text = without_sign(text);
  return !text.empty() && count_digits(text) == text.size() && !has_leading_zero(text);
}

// The floats of YAML's core schema but for nan, inf and leading zeros: 4, 4.25, .07, 1e-5.
bool is_real(std::string_view text) {
  if (has_leading_zero(text)) return false;
  text = without_sign(text);
  const std::size_t whole = count_digits(text);
  text.remove_prefix(whole);
  std::size_t fraction = 0;
  if (!text.empty() && text[0] == '.') {
    fraction = count_digits(text.substr(1));
    text.remove_prefix(1 + fraction);
  }
  if (whole + fraction == 0) return false;
  if (text.empty()) return true;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text = without_sign(text.substr(1));
  return !text.empty() && count_digits(text) == text.size();
}

// What a text that looks like a number to some reader of YAML, but is none here, should be.
std::string number_hint(std::string_view text) {
  const std::string_view digits = without_sign(text);
  const std::size_t letter = digits.starts_with('.') ? 1 : 0;
  std::string word(digits.substr(letter, 8));
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (word == "nan" || word == "inf" || word == "infinity") return "; it must be finite";
  if (count_digits(digits) == 0) return "";
  if (const std::size_t comma = digits.find(','); comma != std::string_view::npos) {
    std::string point(text);
    point[point.find(',')] = '.';
    return is_real(point) ? fmt::format("; write it with a point: {}", point) : "";
  }
  if (digits.find(':') != std::string_view::npos) return "; write it without colons";
  if (digits.find('_') != std::string_view::npos) return "; write it without '_'";
  if (word.starts_with("0x") || word.starts_with("0o") || word.starts_with("0b") ||
      has_leading_zero(text)) {
    return "; write it in decimal, without a leading zero";
  }
  return "";
}

void expect_scalar(const Setting& setting, const YamlNode& node) {
  if (node.kind == YamlNode::Kind::scalar) return;
  throw BadValue(
      fmt::format("expects {}, found {}", allowed_values(setting), kind_name(node.kind)));
}

template <class Value>
Value read_number(const Setting& setting, const YamlNode& node, bool well_formed) {
  if (node.quoted) {
    throw BadValue(fmt::format("expects {}, found the text {}; write it without quotes",
                               allowed_values(setting), shown(node.text)));
  }
  if (!well_formed) {
    throw BadValue(fmt::format("expects {}, found {}{}", allowed_values(setting), shown(node.text),
                               number_hint(node.text)));
  }
  const char* first = node.text.data() + (node.text[0] == '+' ? 1 : 0);
  Value value{};
  const auto [stop, error] = std::from_chars(first, node.text.data() + node.text.size(), value);
  if (error != std::errc()) {
    throw BadValue(
        fmt::format("{} is out of range; expects {}", shown(node.text), allowed_values(setting)));
  }
  return value;
}

template <class Value>
void expect_range(const Setting& setting, Value value, Value least, Value most) {
  if (value >= least && value <= most) return;
  throw BadValue(fmt::format("{} is {}; expects {}", value,
                             value < least ? "too small" : "too large", allowed_values(setting)));
}

// A path as it is given, absolute and normalized.
std::filesystem::path read_path(const YamlNode& node, const std::filesystem::path& folder) {
  if (node.text.empty()) throw BadValue("expects a path, found empty text");
  if (!node.quoted && (node.text == "~" || node.text.starts_with("~/"))) {
    throw BadValue("~ is not expanded here; write the path in full");
  }
  std::filesystem::path path = (folder / node.text).lexically_normal();
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();
  if (!is_plain_line(path.string())) {
    throw BadValue(
        fmt::format("the path {} holds control characters or is not UTF-8", shown(path.string())));
  }
  constexpr std::size_t kLongest = 4095;
  if (path.string().size() > kLongest) {
    throw BadValue(
        fmt::format("a path of {} bytes; at most {} are possible", path.string().size(), kLongest));
  }
  return path;
}

double read_weight(const YamlNode& node) {
  double weight = 0.0;
  const char* end = node.text.data() + node.text.size();
  const bool is_number = !node.quoted && is_real(node.text) &&
                         std::from_chars(node.text.data(), end, weight).ec == std::errc();
  if (!is_number || weight < 1e-6 || weight > 1e6) {
    throw BadValue(
        fmt::format("weight: expects a number from 1e-6 to 1e6, found {}", shown(node.text)));
  }
  return weight;
}

// One entry of calibration.sources.
RunConfig::Source read_source(const YamlNode& node, const std::filesystem::path& folder) {
  if (node.kind != YamlNode::Kind::map) {
    throw BadValue(fmt::format("expects a map, found {}", kind_name(node.kind)));
  }
  RunConfig::Source source;
  for (const YamlEntry& entry : node.entries) {
    if (entry.value.kind != YamlNode::Kind::scalar) {
      throw BadValue(
          fmt::format("{}: expects a value, found {}", entry.key, kind_name(entry.value.kind)));
    }
    const std::string& text = entry.value.text;
    if (entry.key == "path") {
      source.path = read_path(entry.value, folder);
    } else if (entry.key == "kind") {
      const auto& kinds = source_kinds();
      if (std::find(kinds.begin(), kinds.end(), text) == kinds.end()) {
        throw BadValue(
            fmt::format("kind: expects {}, found {}", fmt::join(kinds, ", "), shown(text)));
      }
      source.kind = text;
    } else if (entry.key == "field") {
      if (text.empty() || text.size() > 256 || !is_plain_line(text)) {
        throw BadValue("field: expects a name of 1 to 256 bytes");
      }
      source.field = text;
    } else if (entry.key == "weight") {
      source.weight = read_weight(entry.value);
    } else {
      throw BadValue(fmt::format("unknown setting {}; known here: path, kind, field, weight",
                                 shown(entry.key)));
    }
  }
  if (source.path.empty()) throw BadValue("path is missing");
  return source;
}

// Turns one value of a RunConfig's setting; one overload per type of setting.
struct StoreValue {
  const Setting& setting;
  const YamlNode& node;
  const std::filesystem::path& folder;
  RunConfig& config;

  void operator()(const IntegerSetting& type) const {
    const auto value = read_number<std::int64_t>(setting, node, is_integer(node.text));
    expect_range(setting, value, type.least, type.most);
    type.field(config) = value;
  }

  void operator()(const IntegerChoiceSetting& type) const {
    const auto value = read_number<std::int64_t>(setting, node, is_integer(node.text));
    if (std::find(type.values.begin(), type.values.end(), value) == type.values.end()) {
      throw BadValue(fmt::format("expects {}, found {}", allowed_values(setting), value));
    }
    type.field(config) = value;
  }

  void operator()(const RealSetting& type) const {
    const auto value = read_number<double>(setting, node, is_real(node.text));
    expect_range(setting, value, type.least, type.most);
    type.field(config) = value;
  }

  void operator()(const WordSetting& type) const {
    if (std::find(type.words.begin(), type.words.end(), node.text) == type.words.end()) {
      const std::string nearest = nearest_name(node.text, type.words);
      throw BadValue(fmt::format("expects {}, found {}{}", allowed_values(setting),
                                 shown(node.text),
                                 nearest.empty() ? "" : "; did you mean " + nearest + "?"));
    }
    type.field(config) = node.text;
  }

  void operator()(const PathSetting& type) const { type.field(config) = read_path(node, folder); }

  void operator()(const TextSetting& type) const {
    if (std::ssize(node.text) > type.most_bytes) {
      throw BadValue(
          fmt::format("a text of {} bytes; expects {}", node.text.size(), allowed_values(setting)));
    }
    for (const char c : node.text) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n') {
        throw BadValue("control characters other than \\n are not accepted");
      }
    }
    type.field(config) = node.text;
  }

  void operator()(const TextListSetting& type) const {
    constexpr std::size_t kMostTexts = 1000;
    constexpr std::size_t kMostBytes = 1000;
    const bool alone = node.kind == YamlNode::Kind::scalar;
    const std::vector<YamlNode> items = alone ? std::vector{node} : node.items;
    std::vector<std::string> texts;
    for (const YamlNode& item : items) {
      if (item.kind != YamlNode::Kind::scalar || item.text.empty() ||
          item.text.size() > kMostBytes || !is_plain_line(item.text)) {
        throw BadValue(fmt::format(
            "expects texts of 1 to {} bytes, found {}", kMostBytes,
            item.kind == YamlNode::Kind::scalar ? shown(item.text) : kind_name(item.kind)));
      }
      texts.push_back(item.text);
    }
    if (texts.size() > kMostTexts) {
      throw BadValue(fmt::format("{} texts; at most {}", texts.size(), kMostTexts));
    }
    type.field(config) = std::move(texts);
  }

  void operator()(const SourceListSetting& type) const {
    std::vector<RunConfig::Source> sources;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      try {
        sources.push_back(read_source(node.items[i], folder));
      } catch (const BadValue& bad) {
        throw BadValue(fmt::format("source {}: {}", i + 1, bad.what()));
      }
    }
    constexpr std::size_t kMost = 256;
    if (sources.empty() || sources.size() > kMost) {
      throw BadValue(fmt::format("{} sources; expects 1 to {}", sources.size(), kMost));
    }
    type.field(config) = std::move(sources);
  }
};

}  // namespace

void store_value(const Setting& setting, const YamlNode& node, const std::filesystem::path& folder,
                 RunConfig& config) {
  const bool is_texts = std::holds_alternative<TextListSetting>(setting.type);
  const bool is_list = is_texts || std::holds_alternative<SourceListSetting>(setting.type);
  const bool stands_alone = is_texts && node.kind == YamlNode::Kind::scalar;
  if (!is_list) {
    expect_scalar(setting, node);
  } else if (node.kind != YamlNode::Kind::sequence && !stands_alone) {
    throw BadValue(
        fmt::format("expects {}, found {}", allowed_values(setting), kind_name(node.kind)));
  }
  std::visit(StoreValue{setting, node, folder, config}, setting.type);
}

}  // namespace shardquant::config
