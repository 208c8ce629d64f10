#include "pipeline/chat/template_functions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <unordered_map>

namespace shardquant::chat {

namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

const std::string& text_of(const Value& value, std::string_view who) {
  if (value.text() == nullptr) {
    refuse_template(fmt::format("{} wants text, not {}", who, value.type_name()));
  }
  return *value.text();
}

std::string stripped(std::string text, const Value& characters, bool left, bool right) {
  const std::string set = characters.text() != nullptr ? *characters.text() : std::string(kSpace);
  if (right) text.erase(text.find_last_not_of(set) + 1);
  if (left) text.erase(0, std::min(text.find_first_not_of(set), text.size()));
  return text;
}

// Letters of ASCII alone: chat templates change the case of roles, not of texts.
std::string cased(std::string text, int (*convert)(int)) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x80) c = static_cast<char>(convert(c));
  }
  return text;
}

std::string capitalized(std::string text, bool every_word) {
  bool at_start = true;
  for (char& c : text) {
    const auto letter = static_cast<unsigned char>(c);
    if (letter < 0x80) {
      c = static_cast<char>(at_start ? std::toupper(letter) : std::tolower(letter));
    }
    at_start = every_word && letter < 0x80 && std::isalnum(letter) == 0;
  }
  return text;
}

List split(const std::string& text, const Value& separator, std::int64_t most) {
  List parts;
  std::size_t at = 0;
  if (separator.text() != nullptr) {
    if (separator.text()->empty()) refuse_template("split by nothing");
    for (std::size_t end;
         most != 0 && (end = text.find(*separator.text(), at)) != std::string::npos; --most) {
      parts.emplace_back(text.substr(at, end - at));
      at = end + separator.text()->size();
    }
    parts.emplace_back(text.substr(at));
    return parts;
  }
  while ((at = text.find_first_not_of(kSpace, at)) != std::string::npos) {
    const std::size_t end =
        most == 0 ? text.size() : std::min(text.find_first_of(kSpace, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end;
    --most;
  }
  return parts;
}

std::string replaced(const std::string& text, const std::string& old, const std::string& fresh,
                     std::int64_t most) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t found;
       !old.empty() && most != 0 && (found = text.find(old, at)) != std::string::npos; --most) {
    result += text.substr(at, found - at) + fresh;
    at = found + old.size();
  }
  return result + text.substr(at);
}

std::string joined(const List& items, const std::string& separator, const Value& attribute) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += separator;
    text += (attribute.is_undefined() ? items[i] : item_of(items[i], attribute)).str();
  }
  return text;
}

bool begins_or_ends(const std::string& text, const Value& what, bool begins) {
  const List any = what.list() != nullptr ? *what.list() : List{what};
  return std::any_of(any.begin(), any.end(), [&](const Value& one) {
    const std::string& part = text_of(one, "startswith");
    return begins ? text.starts_with(part) : text.ends_with(part);
  });
}

List pairs_of(const Value& value) {
  if (value.map() == nullptr) refuse_template("items are wanted of a map");
  List pairs;
  for (const auto& [name, member] : *value.map()) pairs.push_back(List{name, member});
  return pairs;
}

Value length_of(const Value& value) {
  return static_cast<std::int64_t>(items_of(value).size());
}

Value to_integer(const Value& value, const Value& fallback) {
  if (value.boolean() != nullptr || value.is_number()) {
    return static_cast<std::int64_t>(value.number());
  }
  const std::string text = stripped(text_of(value, "int"), {}, true, true);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? Value(number) : fallback;
}

std::string indented(const std::string& text, const Arguments& given) {
  const Value width = given.get(1, "width", 4);
  const std::string blanks =
      width.integer() != nullptr
          ? std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(*width.integer(), 0, 64)),
                        ' ')
          : width.str();
  std::string result = given.get(2, "first", false).truth() ? blanks : "";
  for (std::size_t i = 0; i < text.size(); ++i) {
    result += text[i];
    const bool is_blank_line = i + 1 < text.size() && text[i + 1] == '\n';
    if (text[i] == '\n' && i + 1 < text.size() && !is_blank_line) result += blanks;
  }
  return result;
}

// selectattr(name), selectattr(name, test, argument), and rejectattr with keeps = false.
Value selected(const Arguments& given, bool keeps, bool by_attribute) {
  const std::size_t place = by_attribute ? 2 : 1;
  const Value test = given.get(place, "");
  const Function check = test.text() == nullptr ? Function() : find_test(*test.text());
  if (test.text() != nullptr && !check) {
    refuse_template(fmt::format("the test {} is not known", *test.text()));
  }
  List taken;
  for (const Value& item : items_of(given.get(0, ""))) {
    const Value value = by_attribute ? item_of(item, given.get(1, "")) : item;
    Arguments asked{{value}, {}};
    for (std::size_t i = place + 1; i < given.values.size(); ++i) {
      asked.values.push_back(given.values[i]);
    }
    if ((check ? check(asked).truth() : value.truth()) == keeps) taken.push_back(item);
  }
  return taken;
}

Value mapped(const Arguments& given) {
  List results;
  const Value attribute = given.get(99, "attribute");
  const Function filter =
      attribute.is_undefined() ? find_filter(text_of(given.get(1, ""), "map")) : Function();
  if (attribute.is_undefined() && !filter) refuse_template("map wants attribute or a known filter");
  for (const Value& item : items_of(given.get(0, ""))) {
    if (filter) {
      Arguments asked{{item}, {}};
      for (std::size_t i = 2; i < given.values.size(); ++i) asked.values.push_back(given.values[i]);
      results.push_back(filter(asked));
    } else {
      const Value value = item_of(item, attribute);
      results.push_back(value.is_undefined() ? given.get(99, "default", value) : value);
    }
  }
  return results;
}

using Table = std::unordered_map<std::string_view, Function>;

Function of_text(std::string (*work)(const std::string&)) {
  return [work](const Arguments& given) { return Value(work(given.get(0, "").str())); };
}

Table make_filters() {
  Table table;
  table["trim"] = [](const Arguments& given) {
    return stripped(given.get(0, "").str(), given.get(1, "chars"), true, true);
  };
  table["upper"] = of_text([](const std::string& text) { return cased(text, std::toupper); });
  table["lower"] = of_text([](const std::string& text) { return cased(text, std::tolower); });
  table["capitalize"] = of_text([](const std::string& text) { return capitalized(text, false); });
  table["title"] = of_text([](const std::string& text) { return capitalized(text, true); });
  table["string"] = table["safe"] = of_text([](const std::string& text) { return text; });
  table["length"] =
      table["count"] = [](const Arguments& given) { return length_of(given.get(0, "")); };
  table["first"] = [](const Arguments& given) {
    return item_of(Value(items_of(given.get(0, ""))), 0);
  };
  table["last"] = [](const Arguments& given) {
    return item_of(Value(items_of(given.get(0, ""))), -1);
  };
  table["list"] = [](const Arguments& given) { return Value(items_of(given.get(0, ""))); };
  table["reverse"] = [](const Arguments& given) {
    return slice_of(given.get(0, ""), nullptr, nullptr, -1);
  };
  table["items"] = [](const Arguments& given) {
    return given.get(0, "").is_undefined() ? Value(List{}) : Value(pairs_of(given.get(0, "")));
  };
  table["dictsort"] = [](const Arguments& given) {
    List pairs = pairs_of(given.get(0, ""));
    std::stable_sort(pairs.begin(), pairs.end(), [](const Value& a, const Value& b) {
      return cased((*a.list())[0].str(), std::tolower) < cased((*b.list())[0].str(), std::tolower);
    });
    return Value(pairs);
  };
  table["join"] = [](const Arguments& given) {
    return joined(items_of(given.get(0, "")), given.get(1, "d", "").str(),
                  given.get(2, "attribute"));
  };
  table["replace"] = [](const Arguments& given) {
    const Value most = given.get(3, "count");
    return replaced(given.get(0, "").str(), given.get(1, "old").str(), given.get(2, "new").str(),
                    most.integer() != nullptr ? *most.integer() : -1);
  };
  table["default"] = table["d"] = [](const Arguments& given) {
    const Value value = given.get(0, "");
    const bool is_missing =
        value.is_undefined() || (given.get(2, "boolean", false).truth() && !value.truth());
    return is_missing ? given.get(1, "default_value", "") : value;
  };
  table["tojson"] = [](const Arguments& given) {
    const Value indent = given.get(1, "indent");
    return given.get(0, "").json(
        indent.integer() != nullptr
            ? static_cast<int>(std::clamp<std::int64_t>(*indent.integer(), 0, 16))
            : -1);
  };
  table["int"] = [](const Arguments& given) {
    return to_integer(given.get(0, ""), given.get(1, "default", 0));
  };
  table["abs"] = [](const Arguments& given) {
    const Value value = given.get(0, "");
    return operate("<", value, 0).truth() ? operate("-", 0, value) : value;
  };
  table["indent"] = [](const Arguments& given) { return indented(given.get(0, "").str(), given); };
  table["selectattr"] = [](const Arguments& given) { return selected(given, true, true); };
  table["rejectattr"] = [](const Arguments& given) { return selected(given, false, true); };
  table["select"] = [](const Arguments& given) { return selected(given, true, false); };
  table["reject"] = [](const Arguments& given) { return selected(given, false, false); };
  table["map"] = mapped;
  return table;
}

using Property = bool (*)(const Value&);

Function of_property(Property property) {
  return [property](const Arguments& given) { return Value(property(given.get(0, ""))); };
}

Function of_operator(const char* symbol) {
  return [symbol](const Arguments& given) {
    return operate(symbol, given.get(0, ""), given.get(1, ""));
  };
}

Table make_tests() {
  Table table;
  const auto add = [&](std::string_view name, Property property) {
    table[name] = of_property(property);
  };
  add("defined", [](const Value& value) { return !value.is_undefined(); });
  add("undefined", [](const Value& value) { return value.is_undefined(); });
  add("none", [](const Value& value) { return value.is_none(); });
  add("string", [](const Value& value) { return value.text() != nullptr; });
  add("mapping", [](const Value& value) { return value.map() != nullptr; });
  add("boolean", [](const Value& value) { return value.boolean() != nullptr; });
  add("integer", [](const Value& value) { return value.integer() != nullptr; });
  add("float", [](const Value& value) { return value.real() != nullptr; });
  add("callable", [](const Value& value) { return value.function() != nullptr; });
  // Of Python, where True is a number.
  add("number", [](const Value& value) { return value.is_number() || value.boolean() != nullptr; });
  add("true", [](const Value& value) { return value.boolean() != nullptr && *value.boolean(); });
  add("false", [](const Value& value) { return value.boolean() != nullptr && !*value.boolean(); });
  const Property has_items = [](const Value& value) {
    return value.list() != nullptr || value.map() != nullptr || value.text() != nullptr;
  };
  add("sequence", has_items);
  add("iterable", has_items);
  add("odd", [](const Value& value) { return operate("%", value, 2).equals(1); });
  add("even", [](const Value& value) { return operate("%", value, 2).equals(0); });
  table["divisibleby"] = [](const Arguments& given) {
    return Value(operate("%", given.get(0, ""), given.get(1, "num")).equals(0));
  };
  for (const char* name : {"eq", "equalto", "==", "sameas"}) table[name] = of_operator("==");
  table["ne"] = table["!="] = of_operator("!=");
  table["in"] = of_operator("in");
  table["lt"] = table["lessthan"] = of_operator("<");
  table["gt"] = table["greaterthan"] = of_operator(">");
  return table;
}

Function find(const Table& table, std::string_view name) {
  const auto found = table.find(name);
  return found == table.end() ? Function() : found->second;
}

Value text_method(const std::string& text, const std::string& name, const Arguments& given) {
  if (name == "strip") return stripped(text, given.get(0, "chars"), true, true);
  if (name == "lstrip") return stripped(text, given.get(0, "chars"), true, false);
  if (name == "rstrip") return stripped(text, given.get(0, "chars"), false, true);
  if (name == "startswith") return begins_or_ends(text, given.get(0, ""), true);
  if (name == "endswith") return begins_or_ends(text, given.get(0, ""), false);
  if (name == "upper") return cased(text, std::toupper);
  if (name == "lower") return cased(text, std::tolower);
  if (name == "title") return capitalized(text, true);
  if (name == "capitalize") return capitalized(text, false);
  if (name == "join") return joined(items_of(given.get(0, "")), text, {});
  if (name == "replace") {
    const Value most = given.get(2, "count");
    return replaced(text, text_of(given.get(0, ""), name), text_of(given.get(1, ""), name),
                    most.integer() != nullptr ? *most.integer() : -1);
  }
  if (name == "split") {
    const Value most = given.get(1, "maxsplit", -1);
    return split(text, given.get(0, "sep"), most.integer() != nullptr ? *most.integer() : -1);
  }
  if (name == "count" || name == "find") {
    const std::string& part = text_of(given.get(0, ""), name);
    const std::size_t at = text.find(part);
    if (name == "count") return static_cast<std::int64_t>(split(text, part, -1).size()) - 1;
    return at == std::string::npos ? Value(-1) : length_of(Value(text.substr(0, at)));
  }
  refuse_template(fmt::format("text has no method {} here", name));
}

}  // namespace

Function find_filter(std::string_view name) {
  static const Table table = make_filters();
  return find(table, name);
}

Function find_test(std::string_view name) {
  static const Table table = make_tests();
  return find(table, name);
}

Value call_method(const Value& value, const std::string& name, const Arguments& given) {
  if (value.text() != nullptr) return text_method(*value.text(), name, given);
  if (value.map() != nullptr) {
    if (const Value* member = value.member(name); member != nullptr && member->function()) {
      return (*member->function())(given);
    }
    if (name == "items") return pairs_of(value);
    if (name == "keys") return items_of(value);
    if (name == "get") {
      const Value found = item_of(value, given.get(0, ""));
      return found.is_undefined() ? given.get(1, "default", nullptr) : found;
    }
    if (name == "values") {
      List values;
      for (const auto& member : *value.map()) values.push_back(member.second);
      return values;
    }
  }
  refuse_template(fmt::format("{} has no method {} here", value.type_name(), name));
}

}  // namespace shardquant::chat
