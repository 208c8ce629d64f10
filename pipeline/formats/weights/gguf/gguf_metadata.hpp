#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::gguf {

/// Types of metadata values; the numbers are those in the file.
enum class GgufValueType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};

/// "uint32"; "type 13" for a number that is none.
std::string gguf_value_type_name(GgufValueType type);
/// Bytes of a number of that type; 0 for strings, arrays and what is no type.
std::int64_t gguf_value_bytes(GgufValueType type);

/// One key and its value as it lies in the file, so that copies are verbatim. A string is its
/// length as uint64 and its bytes, an array the type of its elements, their number as uint64 and
/// they.
struct GgufEntry {
  std::string key;
  GgufValueType type = GgufValueType::u32;
  std::string value;

  friend bool operator==(const GgufEntry&, const GgufEntry&) = default;
};

/// The metadata of a GGUF file, in its order.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  /// `file` names the source in messages. @throws Failure(bad_data) where a key is given twice
  GgufMetadata(std::vector<GgufEntry> entries, std::string file);

  std::span<const GgufEntry> entries() const { return entries_; }
  /// The entry of that key; null where there is none.
  const GgufEntry* find(std::string_view key) const;

  /// The integer of that key, of any integer type; nothing where the key is missing.
  /// @throws Failure(bad_data) where it is no integer, or not in [0, 2^63)
  std::optional<std::int64_t> find_integer(std::string_view key) const;
  /// The string of that key; nothing where it is missing. @throws Failure(bad_data) where it is
  /// none
  std::optional<std::string> find_string(std::string_view key) const;

  /// Puts a number in the place of the key's value, or last where there is no such key.
  /// @pre type is an integer type that holds the number
  void set_integer(std::string_view key, GgufValueType type, std::int64_t number);
  /// Takes out a key, where it is there.
  void remove(std::string_view key);

 private:
  [[noreturn]] void refuse(const GgufEntry& entry, std::string_view reason) const;

  std::vector<GgufEntry> entries_;
  std::string file_;
};

}  // namespace shardquant::gguf
