#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/formats/json_text.hpp"

namespace shardquant::chat {

class Value;
class Scope;

using List = std::vector<Value>;
/// Members in the order they were put in, names being text alone.
using Map = std::vector<std::pair<std::string, Value>>;

/// What a function of a template is called with.
struct Arguments;
using Function = std::function<Value(const Arguments&)>;

/// What a name stands for that is not there; it is false, prints as nothing and has no members.
struct Undefined {
  std::string name;
};

/// A value of a chat template, as Python and Jinja know them. Lists and maps are shared by copies,
/// as in Python. Text is UTF-8.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(std::nullptr_t) : data_(nullptr) {}
  Value(bool flag) : data_(flag) {}
  Value(int number) : data_(std::int64_t{number}) {}
  Value(std::int64_t number) : data_(number) {}
  Value(double number) : data_(number) {}
  Value(std::string text) : data_(std::move(text)) {}
  Value(std::string_view text) : data_(std::string(text)) {}
  Value(const char* text) : data_(std::string(text)) {}
  Value(List list) : data_(std::make_shared<List>(std::move(list))) {}
  Value(Map map) : data_(std::make_shared<Map>(std::move(map))) {}
  Value(Function function) : data_(std::make_shared<Function>(std::move(function))) {}

  /// Null, bool, number, text, list or map. @throws Failure(bad_data) for a name used twice
  static Value of(const formats::JsonNode& node);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<std::nullptr_t>(data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data_); }
  const double* real() const { return std::get_if<double>(&data_); }
  const std::string* text() const { return std::get_if<std::string>(&data_); }
  List* list() const { return pointed<List>(); }
  Map* map() const { return pointed<Map>(); }
  Function* function() const { return pointed<Function>(); }

  bool is_number() const { return integer() != nullptr || real() != nullptr; }
  /// As a number: also of bool. @pre is_number() or boolean()
  double number() const;

  /// Whether Python takes it for true.
  bool truth() const;
  /// What Python's == says.
  bool equals(const Value& other) const;
  /// str() of Python; nothing for what is undefined.
  std::string str() const;
  /// repr() of Python.
  std::string repr() const;
  /// json.dumps(ensure_ascii=False) of Python; indent < 0: on one line.
  std::string json(int indent = -1, int depth = 0) const;
  /// "a list", "text", ... for messages
  std::string_view type_name() const;
  /// The member of a map, or null.
  const Value* member(std::string_view name) const;

 private:
  template <class Pointed>
  Pointed* pointed() const {
    const auto* pointer = std::get_if<std::shared_ptr<Pointed>>(&data_);
    return pointer == nullptr ? nullptr : pointer->get();
  }

  std::variant<Undefined, std::nullptr_t, bool, std::int64_t, double, std::string,
               std::shared_ptr<List>, std::shared_ptr<Map>, std::shared_ptr<Function>>
      data_;
};

/// Puts a member into a map, in place of one of that name.
void put(Map& map, const std::string& name, Value value);

struct Arguments {
  List values;
  Map named;

  /// The argument at `place` or of that name; `fallback` where neither is given.
  Value get(std::size_t place, std::string_view name, Value fallback = {}) const;
};

}  // namespace shardquant::chat
