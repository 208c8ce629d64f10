#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "pipeline/formats/file_handle.hpp"

namespace shardquant::gguf::detail {

/// Reads a GGUF header from its beginning on, in pieces, so that what a hostile file claims costs
/// no more memory than what it holds. Everything is checked against the end of the file and
/// kMaxGgufHeaderBytes before memory is asked for.
class GgufCursor {
 public:
  /// @throws Failure(bad_data) where the file is no GGUF file of the version that is read
  explicit GgufCursor(const formats::FileHandle& file);

  const std::string& file() const { return file_.name(); }
  std::int64_t file_bytes() const { return file_bytes_; }
  std::int64_t bytes_read() const { return place_; }

  /// What is read next, for messages: "key \"general.name\"".
  void set_place(std::string what) { what_ = std::move(what); }

  template <class T>
  T number() {
    T value{};
    read(sizeof value, reinterpret_cast<char*>(&value));
    return value;
  }
  /// A length of 8 bytes and as many bytes.
  std::string text();
  /// A number; its bytes go to the end of `bytes` as well.
  template <class T>
  T append(std::string& bytes) {
    const T value = number<T>();
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return value;
  }
  /// `count` times `unit` bytes, to the end of `bytes`.
  void append_bytes(std::uint64_t count, std::int64_t unit, std::string& bytes);

  /// Throws Failure(bad_data) where a file has more than `most` of something.
  void require_count(std::string_view what, std::uint64_t count, std::int64_t most) const;
  /// Throws Failure(bad_data) "FILE: PLACE: reason".
  [[noreturn]] void refuse(std::string_view reason) const;

 private:
  void require_left(std::uint64_t count, std::uint64_t unit) const;
  void read(std::int64_t count, char* out);

  const formats::FileHandle& file_;
  std::int64_t file_bytes_;
  std::int64_t place_ = 0;
  std::string what_ = "the header";
  std::string buffer_;  // bytes of the file from buffer_begin_ on
  std::int64_t buffer_begin_ = 0;
};

}  // namespace shardquant::gguf::detail
