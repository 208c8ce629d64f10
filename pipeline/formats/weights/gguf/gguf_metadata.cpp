#include "pipeline/formats/weights/gguf/gguf_metadata.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::gguf {

namespace {

struct ValueEntry {
  std::string_view name;
  std::int64_t bytes;
};

// In the order of GgufValueType.
constexpr std::array<ValueEntry, 13> kValues = {{{"uint8", 1},
                                                 {"int8", 1},
                                                 {"uint16", 2},
                                                 {"int16", 2},
                                                 {"uint32", 4},
                                                 {"int32", 4},
                                                 {"float32", 4},
                                                 {"bool", 1},
                                                 {"string", 0},
                                                 {"array", 0},
                                                 {"uint64", 8},
                                                 {"int64", 8},
                                                 {"float64", 8}}};

bool is_integer(GgufValueType type) {
  return type != GgufValueType::boolean && type != GgufValueType::f32 &&
         type != GgufValueType::f64 && gguf_value_bytes(type) > 0;
}

bool is_signed(GgufValueType type) {
  return type == GgufValueType::i8 || type == GgufValueType::i16 || type == GgufValueType::i32 ||
         type == GgufValueType::i64;
}

}  // namespace

std::string gguf_value_type_name(GgufValueType type) {
  const auto number = static_cast<std::uint32_t>(type);
  if (number >= kValues.size()) return fmt::format("type {}", number);
  return std::string(kValues[number].name);
}

std::int64_t gguf_value_bytes(GgufValueType type) {
  const auto number = static_cast<std::uint32_t>(type);
  return number < kValues.size() ? kValues[number].bytes : 0;
}

GgufMetadata::GgufMetadata(std::vector<GgufEntry> entries, std::string file)
    : entries_(std::move(entries)), file_(std::move(file)) {
  std::vector<std::string_view> keys;
  for (const GgufEntry& entry : entries_) keys.push_back(entry.key);
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice != keys.end()) {
    fail(ExitCode::bad_data, "{}: key {}: given twice", file_, formats::json_quote(*twice));
  }
}

const GgufEntry* GgufMetadata::find(std::string_view key) const {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const GgufEntry& other) { return other.key == key; });
  return entry == entries_.end() ? nullptr : &*entry;
}

std::optional<std::int64_t> GgufMetadata::find_integer(std::string_view key) const {
  const GgufEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (!is_integer(entry->type)) refuse(*entry, "must be an integer");
  std::uint64_t number = 0;
  std::memcpy(&number, entry->value.data(), entry->value.size());
  const auto sign_bit = static_cast<int>(8 * entry->value.size() - 1);
  const bool negative = is_signed(entry->type) && (number >> sign_bit & 1u) != 0;
  if (negative || !std::in_range<std::int64_t>(number)) refuse(*entry, "is out of range");
  return static_cast<std::int64_t>(number);
}

std::optional<std::string> GgufMetadata::find_string(std::string_view key) const {
  const GgufEntry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufValueType::string) refuse(*entry, "must be a string");
  return entry->value.substr(sizeof(std::uint64_t));
}

void GgufMetadata::set_integer(std::string_view key, GgufValueType type, std::int64_t number) {
  std::string value(gguf_value_bytes(type), '\0');
  std::memcpy(value.data(), &number, value.size());
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const GgufEntry& other) { return other.key == key; });
  if (entry == entries_.end()) {
    entries_.push_back({std::string(key), type, std::move(value)});
  } else {
    entry->type = type;
    entry->value = std::move(value);
  }
}

void GgufMetadata::remove(std::string_view key) {
  std::erase_if(entries_, [&](const GgufEntry& entry) { return entry.key == key; });
}

void GgufMetadata::refuse(const GgufEntry& entry, std::string_view reason) const {
  fail(ExitCode::bad_data, "{}: key {}: {}, and is {}", file_, formats::json_quote(entry.key),
       reason, gguf_value_type_name(entry.type));
}

}  // namespace shardquant::gguf
