#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace shardquant::checkpoint {

/// XXH3-64 or XXH3-128 (seed 0) of bytes that come in pieces. Move only.
class Xxh3 {
 public:
  enum class Width { bits_64, bits_128 };

  explicit Xxh3(Width width);
  ~Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;

  void update(std::span<const std::byte> bytes);

  /// @pre width bits_64
  std::uint64_t digest_64() const;
  /// The canonical (big endian) form. @pre width bits_128
  std::array<std::uint8_t, 16> digest_128() const;
  /// The same as 32 hexadecimal digits.
  std::string hex_128() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// XXH3-128 of a text, 32 hex digits.
std::string xxh3_128_hex(std::string_view text);

}  // namespace shardquant::checkpoint
