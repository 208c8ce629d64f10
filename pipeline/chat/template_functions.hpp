#pragma once

#include <string>
#include <string_view>

#include "pipeline/chat/value.hpp"

namespace shardquant::chat {

/// Errors of a template name neither file nor line: who evaluates adds them.
[[noreturn]] void refuse_template(const std::string& reason);

/// A filter (`value | name(...)`) or test (`value is name ...`) by name, the value being its first
/// argument; empty where there is none of that name. As jinja2.filters and jinja2.tests define
/// them, where they are here.
Function find_filter(std::string_view name);
Function find_test(std::string_view name);

/// `value.name(...)`, as Python's str and dict have it. @throws Failure(bad_data) for others
Value call_method(const Value& value, const std::string& name, const Arguments& arguments);

/// value[key], undefined where there is none; and value[first:end:step] of Python, parts that are
/// left out being none.
Value item_of(const Value& value, const Value& key);
Value slice_of(const Value& value, const Value& first, const Value& end, const Value& step);

/// The items of a list, the names of a map, the characters of text; nothing of what is undefined.
/// @throws Failure(bad_data) for what has none
List items_of(const Value& value);

/// a + b, a - b, ... by the symbol of the operator, and comparisons, `in` and `not in`.
Value operate(std::string_view symbol, const Value& a, const Value& b);

}  // namespace shardquant::chat
