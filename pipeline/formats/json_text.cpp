#include "pipeline/formats/json_text.hpp"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_sax.hpp"

namespace shardquant::formats {

namespace detail {

enum class JsonKind { null, boolean, integer, huge_integer, number, string, array, object };

// Names of an object's members, in the order of the text.
struct JsonNames {
  std::vector<std::string> in_order;
  std::vector<std::uint32_t> sorted;  // indices in the order of the names
};

struct JsonValue {
  JsonKind kind = JsonKind::null;
  std::int64_t integer = 0;           // boolean, integer
  double number = 0.0;                // number; huge_integer: one beyond 64 bits
  std::string text = {};              // string
  std::vector<JsonValue> items = {};  // array, object
  std::unique_ptr<JsonNames> names = {};

  const JsonValue* find(std::string_view name) const;
};

struct JsonDocument {
  std::string file;
  JsonValue root;
};

const JsonValue* JsonValue::find(std::string_view name) const {
  const auto place = std::lower_bound(
      names->sorted.begin(), names->sorted.end(), name,
      [this](std::uint32_t i, std::string_view key) { return names->in_order[i] < key; });
  if (place == names->sorted.end() || names->in_order[*place] != name) return nullptr;
  return &items[*place];
}

namespace {

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

void append_name(std::string& path, std::string_view name) {
  if (!path.empty()) path += '.';
  path += is_plain_name(name) ? std::string(name) : json_quote(name);
}

void append_index(std::string& path, std::size_t index) {
  path += '[' + std::to_string(index) + ']';
}

class TreeBuilder final : public JsonSax {
 public:
  using JsonSax::JsonSax;

  JsonValue take_root() { return std::move(root_); }

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add({.kind = JsonKind::boolean, .integer = value}); }
  bool number_integer(std::int64_t value) override {
    return add({.kind = JsonKind::integer, .integer = value});
  }
  bool number_unsigned(std::uint64_t value) override {
    if (std::in_range<std::int64_t>(value)) return number_integer(static_cast<std::int64_t>(value));
    return add({.kind = JsonKind::huge_integer, .number = static_cast<double>(value)});
  }
  bool number_float(double value, const std::string& text) override {
    const auto kind = written_as_integer(text) ? JsonKind::huge_integer : JsonKind::number;
    return add({.kind = kind, .number = value});
  }
  bool string(std::string& value) override {
    return add({.kind = JsonKind::string, .text = std::move(value)});
  }
  bool start_object(std::size_t) override {
    return open({.kind = JsonKind::object, .names = std::make_unique<JsonNames>()});
  }
  bool start_array(std::size_t) override { return open({.kind = JsonKind::array}); }
  bool key(std::string& name) override {
    open_.back().names->in_order.push_back(std::move(name));
    return true;
  }
  bool end_object() override {
    index_names(*open_.back().names);
    return close();
  }
  bool end_array() override { return close(); }

 private:
  bool add(JsonValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }
  bool open(JsonValue value) {
    enter();
    open_.push_back(std::move(value));
    return true;
  }
  bool close() {
    leave();
    JsonValue value = std::move(open_.back());
    open_.pop_back();
    return add(std::move(value));
  }

  void index_names(JsonNames& names) {
    const std::vector<std::string>& in_order = names.in_order;
    std::vector<std::uint32_t>& sorted = names.sorted;
    sorted.resize(in_order.size());
    std::iota(sorted.begin(), sorted.end(), 0u);
    std::sort(sorted.begin(), sorted.end(),
              [&](std::uint32_t a, std::uint32_t b) { return in_order[a] < in_order[b]; });
    const auto twice = std::adjacent_find(
        sorted.begin(), sorted.end(),
        [&](std::uint32_t a, std::uint32_t b) { return in_order[a] == in_order[b]; });
    if (twice != sorted.end()) {
      std::string path = path_of_open();
      append_name(path, in_order[*twice]);
      fail(ExitCode::bad_data, "{}: {}: given twice", file(), path);
    }
  }

  std::string path_of_open() const {
    std::string path;
    for (std::size_t level = 0; level + 1 < open_.size(); ++level) {
      if (open_[level].kind == JsonKind::array) {
        append_index(path, open_[level].items.size());
      } else {
        append_name(path, open_[level].names->in_order.back());
      }
    }
    return path;
  }

  std::vector<JsonValue> open_;
  JsonValue root_;
};

// Depth is bounded by the limit the document was parsed with.
bool find_path(const JsonValue& here, const JsonValue* target, std::string& path) {
  if (&here == target) return true;
  const std::size_t length = path.size();
  for (std::size_t i = 0; i < here.items.size(); ++i) {
    if (here.kind == JsonKind::array) {
      append_index(path, i);
    } else {
      append_name(path, here.names->in_order[i]);
    }
    if (find_path(here.items[i], target, path)) return true;
    path.resize(length);
  }
  return false;
}

}  // namespace

}  // namespace detail

using detail::JsonKind;

bool JsonNode::is_null() const {
  return value_->kind == JsonKind::null;
}
bool JsonNode::is_bool() const {
  return value_->kind == JsonKind::boolean;
}
bool JsonNode::is_integer() const {
  return value_->kind == JsonKind::integer;
}
bool JsonNode::is_number() const {
  return value_->kind == JsonKind::integer || value_->kind == JsonKind::huge_integer ||
         value_->kind == JsonKind::number;
}
bool JsonNode::is_string() const {
  return value_->kind == JsonKind::string;
}
bool JsonNode::is_array() const {
  return value_->kind == JsonKind::array;
}
bool JsonNode::is_object() const {
  return value_->kind == JsonKind::object;
}

bool JsonNode::as_bool() const {
  if (!is_bool()) refuse("must be true or false");
  return value_->integer != 0;
}

std::int64_t JsonNode::as_integer(std::int64_t low, std::int64_t high) const {
  if (value_->kind == JsonKind::huge_integer) {
    refuse(fmt::format("{} is outside [{}, {}]", value_->number, low, high));
  }
  if (!is_integer()) refuse("must be an integer");
  const std::int64_t value = value_->integer;
  if (value < low || value > high) refuse(fmt::format("{} is outside [{}, {}]", value, low, high));
  return value;
}

double JsonNode::as_number(double low, double high) const {
  if (!is_number()) refuse("must be a number");
  const double value = is_integer() ? static_cast<double>(value_->integer) : value_->number;
  if (!(value >= low && value <= high)) {
    refuse(fmt::format("{} is outside [{}, {}]", value, low, high));
  }
  return value;
}

const std::string& JsonNode::as_string() const {
  if (!is_string()) refuse("must be a string");
  return value_->text;
}

std::int64_t JsonNode::size() const {
  if (!is_array() && !is_object()) refuse("must be an array or an object");
  return static_cast<std::int64_t>(value_->items.size());
}

JsonNode JsonNode::at(std::int64_t index) const {
  if (!is_array()) refuse("must be an array");
  return {document_, &value_->items.at(index)};
}

const std::string& JsonNode::member_name(std::int64_t index) const {
  if (!is_object()) refuse("must be an object");
  return value_->names->in_order.at(index);
}

JsonNode JsonNode::member(std::int64_t index) const {
  if (!is_object()) refuse("must be an object");
  return {document_, &value_->items.at(index)};
}

JsonNode JsonNode::at(std::string_view name) const {
  if (!is_object()) refuse("must be an object");
  const detail::JsonValue* value = value_->find(name);
  if (value == nullptr) refuse(fmt::format("{} is missing", json_quote(name)));
  return {document_, value};
}

std::optional<JsonNode> JsonNode::find(std::string_view name) const {
  if (!is_object()) refuse("must be an object");
  const detail::JsonValue* value = value_->find(name);
  if (value == nullptr || value->kind == JsonKind::null) return std::nullopt;
  return JsonNode(document_, value);
}

bool JsonNode::boolean_or(std::string_view name, bool fallback) const {
  const auto node = find(name);
  return node ? node->as_bool() : fallback;
}

std::int64_t JsonNode::integer_or(std::string_view name, std::int64_t fallback, std::int64_t low,
                                  std::int64_t high) const {
  const auto node = find(name);
  return node ? node->as_integer(low, high) : fallback;
}

double JsonNode::number_or(std::string_view name, double fallback, double low, double high) const {
  const auto node = find(name);
  return node ? node->as_number(low, high) : fallback;
}

std::string JsonNode::string_or(std::string_view name, std::string_view fallback) const {
  const auto node = find(name);
  return node ? node->as_string() : std::string(fallback);
}

std::string JsonNode::path() const {
  std::string path;
  detail::find_path(document_->root, value_, path);
  return path.empty() ? "(top level)" : path;
}

void JsonNode::refuse(const std::string& reason) const {
  fail(ExitCode::bad_data, "{}: {}: {}", document_->file, path(), reason);
}

JsonText JsonText::parse(std::string_view text, std::string file, const JsonLimits& limits) {
  if (static_cast<std::int64_t>(text.size()) > limits.bytes) {
    fail(ExitCode::bad_data, "{}: {} bytes of JSON; at most {} are accepted here", file,
         text.size(), limits.bytes);
  }
  detail::TreeBuilder builder(file, limits.depth);
  detail::parse_json(text, builder);
  auto document = std::make_shared<detail::JsonDocument>();
  document->file = std::move(file);
  document->root = builder.take_root();
  return JsonText(std::move(document));
}

JsonText JsonText::read(const std::filesystem::path& file, const JsonLimits& limits) {
  return parse(read_text_file(file, limits.bytes), file.string(), limits);
}

JsonNode JsonText::root() const& {
  return {document_.get(), &document_->root};
}

const std::string& JsonText::file() const {
  return document_->file;
}

std::string json_quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace shardquant::formats
