#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace shardquant::formats {

/// What one document may cost; beyond it the text is refused.
struct JsonLimits {
  std::int64_t bytes = std::int64_t{1} << 30;
  int depth = 64;  ///< nested arrays and objects
};

namespace detail {
struct JsonDocument;
struct JsonValue;
}  // namespace detail

/// One value inside a JsonText, which must outlive it. Cheap to copy. Every getter throws
/// Failure(bad_data) that names the file, the path of the value ("rope_scaling.factor",
/// "measurement[3].bpw") and what was expected.
class JsonNode {
 public:
  bool is_null() const;
  bool is_bool() const;
  /// A number written without fraction and exponent that fits 64 bits.
  bool is_integer() const;
  bool is_number() const;
  bool is_string() const;
  bool is_array() const;
  bool is_object() const;

  bool as_bool() const;
  /// An integer in [low, high]; "2.0" is not one.
  std::int64_t as_integer(std::int64_t low, std::int64_t high) const;
  /// Any number in [low, high]; finite.
  double as_number(double low, double high) const;
  const std::string& as_string() const;

  /// Elements of an array or members of an object.
  std::int64_t size() const;
  /// Element of an array. @pre 0 <= index < size(); throws where this is not an array
  JsonNode at(std::int64_t index) const;
  /// Name and value of a member, in the order of the text. @pre 0 <= index < size()
  const std::string& member_name(std::int64_t index) const;
  JsonNode member(std::int64_t index) const;

  /// The member of that name; throws where it is missing or this is not an object.
  JsonNode at(std::string_view name) const;
  /// The member of that name; nothing where it is missing or null.
  std::optional<JsonNode> find(std::string_view name) const;

  /// Required members, typed.
  bool boolean(std::string_view name) const { return at(name).as_bool(); }
  std::int64_t integer(std::string_view name, std::int64_t low, std::int64_t high) const {
    return at(name).as_integer(low, high);
  }
  double number(std::string_view name, double low, double high) const {
    return at(name).as_number(low, high);
  }
  const std::string& string(std::string_view name) const { return at(name).as_string(); }

  /// Optional members, typed; a missing or null one gives the fallback.
  bool boolean_or(std::string_view name, bool fallback) const;
  std::int64_t integer_or(std::string_view name, std::int64_t fallback, std::int64_t low,
                          std::int64_t high) const;
  double number_or(std::string_view name, double fallback, double low, double high) const;
  std::string string_or(std::string_view name, std::string_view fallback) const;

  /// Path from the root, for messages; "(top level)" for the root itself. Searches the document.
  std::string path() const;
  /// Throws Failure(bad_data) "FILE: PATH: reason".
  [[noreturn]] void refuse(const std::string& reason) const;

 private:
  friend class JsonText;
  JsonNode(const detail::JsonDocument* document, const detail::JsonValue* value)
      : document_(document), value_(value) {}

  const detail::JsonDocument* document_;
  const detail::JsonValue* value_;
};

/// A JSON document read strictly (RFC 8259): refused are a byte order mark, invalid UTF-8, lone
/// surrogates, text after the value, nesting beyond the limit, a name used twice in an object,
/// numbers beyond the range of double. Immutable; may be read from several threads.
class JsonText {
 public:
  /// `file` names the source in messages. @throws Failure(bad_data) with the reason and its place
  static JsonText parse(std::string_view text, std::string file, const JsonLimits& limits = {});
  /// Reads and parses a file. @throws Failure: no_input when it is missing, no_permission,
  /// io_error, bad_data when it is no regular file, too long, or malformed
  static JsonText read(const std::filesystem::path& file, const JsonLimits& limits = {});

  JsonNode root() const&;
  JsonNode root() && = delete;  // the nodes would outlive the document
  const std::string& file() const;

 private:
  explicit JsonText(std::shared_ptr<const detail::JsonDocument> document)
      : document_(std::move(document)) {}

  std::shared_ptr<const detail::JsonDocument> document_;
};

/// `text` between double quotes with quotes, backslashes and control characters escaped: valid JSON
/// for valid UTF-8, and safe to print for anything else (bytes outside UTF-8 become U+FFFD).
std::string json_quote(std::string_view text);

}  // namespace shardquant::formats
