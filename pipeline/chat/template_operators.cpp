#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "pipeline/chat/template_functions.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::chat {

namespace {

// Where the characters of text begin, and its end.
std::vector<std::size_t> character_places(const std::string& text) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) places.push_back(i);
  }
  places.push_back(text.size());
  return places;
}

std::int64_t size_of(const Value& value) {
  return value.list() != nullptr ? std::ssize(*value.list())
                                 : std::ssize(character_places(*value.text())) - 1;
}

[[noreturn]] void refuse_operands(std::string_view symbol, const Value& a, const Value& b) {
  refuse_template(fmt::format("{} {} {} means nothing", a.type_name(), symbol, b.type_name()));
}

Value integer_result(std::string_view symbol, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflows = false;
  if (symbol == "+") {
    overflows = __builtin_add_overflow(a, b, &result);
  } else if (symbol == "-") {
    overflows = __builtin_sub_overflow(a, b, &result);
  } else if (symbol == "*") {
    overflows = __builtin_mul_overflow(a, b, &result);
  } else if (b == 0) {
    refuse_template("a division by zero");
  } else if (a == INT64_MIN && b == -1) {
    overflows = true;
  } else {
    // Python rounds down, and a remainder has the sign of what is divided by.
    const std::int64_t rest = a % b;
    const bool is_between = rest != 0 && (rest < 0) != (b < 0);
    result = symbol == "//" ? a / b - (is_between ? 1 : 0) : rest + (is_between ? b : 0);
  }
  if (overflows) refuse_template("a number beyond 64 bits");
  return result;
}

std::optional<std::int64_t> integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent && i < 64 && base != 1; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) refuse_template("a number beyond 64 bits");
  }
  const bool is_small = exponent < 64 || (base >= -1 && base <= 1);
  if (exponent < 0 || !is_small) return std::nullopt;
  return base == -1 ? (exponent % 2 == 0 ? 1 : -1) : result;
}

Value real_result(std::string_view symbol, double a, double b) {
  if (symbol == "+") return a + b;
  if (symbol == "-") return a - b;
  if (symbol == "*") return a * b;
  if (symbol == "**") return std::pow(a, b);
  if (b == 0.0) refuse_template("a division by zero");
  if (symbol == "/") return a / b;
  if (symbol == "//") return std::floor(a / b);
  return a - b * std::floor(a / b);
}

Value arithmetic(std::string_view symbol, const Value& a, const Value& b) {
  const auto whole = [](const Value& value) -> std::optional<std::int64_t> {
    if (value.integer() != nullptr) return *value.integer();
    if (value.boolean() != nullptr) return *value.boolean() ? 1 : 0;
    return std::nullopt;
  };
  const auto left = whole(a), right = whole(b);
  if (left && right && symbol == "**") {
    if (const auto power = integer_power(*left, *right)) return *power;
  } else if (left && right && symbol != "/") {
    return integer_result(symbol, *left, *right);
  }
  if ((left || a.real() != nullptr) && (right || b.real() != nullptr)) {
    return real_result(symbol, a.number(), b.number());
  }
  if (symbol == "+" && a.text() != nullptr && b.text() != nullptr) return *a.text() + *b.text();
  if (symbol == "+" && a.list() != nullptr && b.list() != nullptr) {
    List both = *a.list();
    both.insert(both.end(), b.list()->begin(), b.list()->end());
    return both;
  }
  if (symbol == "*" && a.text() != nullptr && right) {
    std::string text;
    if (*right > 0 && std::ssize(*a.text()) * *right > (1 << 24))
      refuse_template("a text too long");
    for (std::int64_t i = 0; i < *right; ++i) text += *a.text();
    return text;
  }
  refuse_operands(symbol, a, b);
}

bool contains(const Value& value, const Value& item) {
  if (value.text() != nullptr) {
    if (item.text() == nullptr) refuse_operands("in", item, value);
    return value.text()->find(*item.text()) != std::string::npos;
  }
  const List items = items_of(value);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& one) { return one.equals(item); });
}

bool is_less(std::string_view symbol, const Value& a, const Value& b) {
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() < *b.text();
  const auto counts = [](const Value& value) {
    return value.boolean() != nullptr || value.is_number();
  };
  if (!counts(a) || !counts(b)) refuse_operands(symbol, a, b);
  return a.number() < b.number();
}

std::int64_t whole_number(const Value& value) {
  if (value.integer() == nullptr) refuse_template("an index that is no integer");
  return *value.integer();
}

}  // namespace

void refuse_template(const std::string& reason) {
  throw Failure(ExitCode::bad_data, reason);
}

Value operate(std::string_view symbol, const Value& a, const Value& b) {
  if (symbol == "==") return a.equals(b);
  if (symbol == "!=") return !a.equals(b);
  if (symbol == "in") return contains(b, a);
  if (symbol == "not in") return !contains(b, a);
  if (symbol == "<") return is_less(symbol, a, b);
  if (symbol == ">") return is_less(symbol, b, a);
  if (symbol == "<=") return !is_less(symbol, b, a);
  if (symbol == ">=") return !is_less(symbol, a, b);
  if (symbol == "~") return a.str() + b.str();
  return arithmetic(symbol, a, b);
}

List items_of(const Value& value) {
  if (value.list() != nullptr) return *value.list();
  List items;
  if (value.map() != nullptr) {
    for (const auto& member : *value.map()) items.emplace_back(member.first);
  } else if (value.text() != nullptr) {
    const auto places = character_places(*value.text());
    for (std::size_t i = 0; i + 1 < places.size(); ++i) {
      items.emplace_back(value.text()->substr(places[i], places[i + 1] - places[i]));
    }
  } else if (!value.is_undefined()) {
    refuse_template(fmt::format("{} has no items", value.type_name()));
  }
  return items;
}

Value item_of(const Value& value, const Value& key) {
  if (value.is_undefined()) {
    refuse_template(fmt::format("{} is asked of what is undefined", key.repr()));
  }
  if (value.map() != nullptr && key.text() != nullptr) {
    const Value* member = value.member(*key.text());
    return member != nullptr ? *member : Value(Undefined{*key.text()});
  }
  if ((value.list() == nullptr && value.text() == nullptr) || key.integer() == nullptr) {
    return Undefined{key.str()};
  }
  const std::int64_t size = size_of(value);
  const std::int64_t place = *key.integer() < 0 ? *key.integer() + size : *key.integer();
  if (place < 0 || place >= size) return Undefined{key.str()};
  return value.list() != nullptr ? (*value.list())[static_cast<std::size_t>(place)]
                                 : items_of(value)[static_cast<std::size_t>(place)];
}

Value slice_of(const Value& value, const Value& first, const Value& end, const Value& step) {
  if (value.list() == nullptr && value.text() == nullptr) {
    refuse_template(fmt::format("{} cannot be cut", value.type_name()));
  }
  const List items = items_of(value);
  const std::int64_t size = std::ssize(items);
  const std::int64_t by = step.is_none() ? 1 : whole_number(step);
  if (by == 0) refuse_template("a step of 0");
  const auto place = [&](const Value& given, std::int64_t fallback) {
    if (given.is_none()) return fallback;
    const std::int64_t index = whole_number(given) + (whole_number(given) < 0 ? size : 0);
    return std::clamp<std::int64_t>(index, by < 0 ? -1 : 0, by < 0 ? size - 1 : size);
  };
  const std::int64_t begin = place(first, by < 0 ? size - 1 : 0);
  const std::int64_t stop = place(end, by < 0 ? -1 : size);
  List taken;
  for (std::int64_t i = begin; by < 0 ? i > stop : i < stop; i += by) {
    taken.push_back(items[static_cast<std::size_t>(i)]);
  }
  if (value.list() != nullptr) return taken;
  std::string text;
  for (const Value& character : taken) text += *character.text();
  return text;
}

}  // namespace shardquant::chat
