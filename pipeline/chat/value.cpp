#include "pipeline/chat/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pipeline/records/python_number.hpp"

namespace shardquant::chat {

namespace {

std::string between_quotes(std::string_view text, char quote) {
  std::string result(1, quote);
  for (const char c : text) {
    if (c == '\\' || c == quote) {
      result += {'\\', c};
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\r') {
      result += "\\r";
    } else if (c == '\t') {
      result += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += quote == '"' ? fmt::format("\\u{:04x}", int{c}) : fmt::format("\\x{:02x}", int{c});
    } else {
      result += c;
    }
  }
  return result + quote;
}

std::string json_text(std::string_view text) {
  std::string result;
  for (const char c : between_quotes(text, '"')) result += c;
  for (const auto& [code, name] : {std::pair{"\\u0008", "\\b"}, std::pair{"\\u000c", "\\f"}}) {
    for (std::size_t at = 0; (at = result.find(code, at)) != std::string::npos;) {
      result.replace(at, 6, name);
    }
  }
  return result;
}

// Items between brackets, on lines of their own where indent >= 0.
std::string bracketed(const std::vector<std::string>& items, std::string_view brackets, int indent,
                      int depth) {
  if (items.empty()) return std::string(brackets);
  const auto line = [&](int levels) {
    return indent < 0 ? std::string()
                      : '\n' + std::string(static_cast<std::size_t>(indent * levels), ' ');
  };
  const std::string between = indent < 0 ? ", " : "," + line(depth + 1);
  return fmt::format("{}{}{}{}{}", brackets.front(), line(depth + 1), fmt::join(items, between),
                     line(depth), brackets.back());
}

}  // namespace

Value Value::of(const formats::JsonNode& node) {
  if (node.is_null()) return nullptr;
  if (node.is_bool()) return node.as_bool();
  if (node.is_integer()) return node.as_integer(INT64_MIN, INT64_MAX);
  if (node.is_number()) return node.as_number(-1e308, 1e308);
  if (node.is_string()) return node.as_string();
  if (node.is_array()) {
    List list;
    for (std::int64_t i = 0; i < node.size(); ++i) list.push_back(of(node.at(i)));
    return list;
  }
  Map map;
  for (std::int64_t i = 0; i < node.size(); ++i) {
    map.emplace_back(node.member_name(i), of(node.member(i)));
  }
  return map;
}

double Value::number() const {
  if (const bool* flag = boolean()) return *flag ? 1.0 : 0.0;
  return integer() != nullptr ? static_cast<double>(*integer()) : *real();
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (boolean() != nullptr || is_number()) return number() != 0.0;
  if (text() != nullptr) return !text()->empty();
  if (list() != nullptr) return !list()->empty();
  if (map() != nullptr) return !map()->empty();
  return true;
}

bool Value::equals(const Value& other) const {
  const auto counts = [](const Value& value) {
    return value.boolean() != nullptr || value.is_number();
  };
  if (counts(*this) && counts(other)) return number() == other.number();
  if (text() != nullptr && other.text() != nullptr) return *text() == *other.text();
  if (is_undefined() || is_none()) return data_.index() == other.data_.index();
  if (list() != nullptr && other.list() != nullptr) {
    return std::equal(list()->begin(), list()->end(), other.list()->begin(), other.list()->end(),
                      [](const Value& a, const Value& b) { return a.equals(b); });
  }
  if (map() == nullptr || other.map() == nullptr) return false;
  return map()->size() == other.map()->size() &&
         std::all_of(map()->begin(), map()->end(), [&](const auto& member) {
           const Value* same = other.member(member.first);
           return same != nullptr && member.second.equals(*same);
         });
}

std::string Value::str() const {
  if (is_undefined()) return "";
  return text() != nullptr ? *text() : repr();
}

std::string Value::repr() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "None";
  if (boolean() != nullptr) return *boolean() ? "True" : "False";
  if (integer() != nullptr) return fmt::format("{}", *integer());
  if (real() != nullptr) return records::python_number(*real());
  if (text() != nullptr) {
    const bool has_single = text()->find('\'') != std::string::npos;
    return between_quotes(*text(),
                          has_single && text()->find('"') == std::string::npos ? '"' : '\'');
  }
  std::vector<std::string> items;
  if (list() != nullptr) {
    for (const Value& item : *list()) items.push_back(item.repr());
    return bracketed(items, "[]", -1, 0);
  }
  if (map() == nullptr) return "<function>";
  for (const auto& [name, value] : *map()) {
    items.push_back(between_quotes(name, '\'') + ": " + value.repr());
  }
  return bracketed(items, "{}", -1, 0);
}

std::string Value::json(int indent, int depth) const {
  if (is_none() || is_undefined()) return "null";
  if (boolean() != nullptr) return *boolean() ? "true" : "false";
  if (text() != nullptr) return json_text(*text());
  std::vector<std::string> items;
  if (list() != nullptr) {
    for (const Value& item : *list()) items.push_back(item.json(indent, depth + 1));
    return bracketed(items, "[]", indent, depth);
  }
  if (map() == nullptr) return repr();
  for (const auto& [name, value] : *map()) {
    items.push_back(json_text(name) + ": " + value.json(indent, depth + 1));
  }
  return bracketed(items, "{}", indent, depth);
}

std::string_view Value::type_name() const {
  constexpr std::string_view kNames[] = {"undefined",  "none",     "a boolean",
                                         "an integer", "a number", "text",
                                         "a list",     "a map",    "a function"};
  return kNames[data_.index()];
}

const Value* Value::member(std::string_view name) const {
  if (map() == nullptr) return nullptr;
  for (const auto& [known, value] : *map()) {
    if (known == name) return &value;
  }
  return nullptr;
}

void put(Map& map, const std::string& name, Value value) {
  for (auto& [known, old] : map) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  map.emplace_back(name, std::move(value));
}

Value Arguments::get(std::size_t place, std::string_view name, Value fallback) const {
  if (place < values.size()) return values[place];
  for (const auto& [known, value] : named) {
    if (known == name) return value;
  }
  return fallback;
}

}  // namespace shardquant::chat
