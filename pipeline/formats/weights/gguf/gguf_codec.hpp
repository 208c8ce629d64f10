#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/formats/weights/gguf/gguf_grid.hpp"

namespace shardquant::gguf {

/// Integers and fp16 numbers of consecutive blocks of one type, B blocks of E elements in R runs;
/// what the type's grid lacks is empty.
struct GgufParts {
  std::span<const std::uint8_t> codes;   ///< [B, E]
  std::span<const std::int8_t> scales;   ///< [B, R]
  std::span<const std::uint8_t> minima;  ///< [B, R]
  std::span<const std::uint16_t> d;      ///< [B] fp16 bits
  std::span<const std::uint16_t> m;      ///< [B] fp16 bits
};

/// The same, owned.
struct GgufIntegers {
  std::vector<std::uint8_t> codes;
  std::vector<std::int8_t> scales;
  std::vector<std::uint8_t> minima;
  std::vector<std::uint16_t> d;
  std::vector<std::uint16_t> m;

  GgufParts parts() const { return {codes, scales, minima, d, m}; }
};

/// Bytes of the blocks as they lie in a file. @pre find_gguf_grid(type) is not null
/// @throws Failure(internal) where the parts do not fit each other or `out`, an integer is not of
/// the grid, or d or m is not finite
void encode_gguf(GgufType type, const GgufParts& parts, std::span<std::byte> out);

/// The inverse of encode_gguf. @pre find_gguf_grid(type) is not null, whole blocks
GgufIntegers unpack_gguf(GgufType type, std::span<const std::byte> bytes);

/// True for the types decode_gguf takes: those with a grid, F32, F16 and BF16.
bool is_decoded_gguf(GgufType type);

/// Values of elements as they lie in a file, by the formula of GgufGrid in its order, each step in
/// fp32, as llama.cpp and its Python package compute them. @pre is_decoded_gguf(type), whole
/// blocks, out has their elements
void decode_gguf(GgufType type, std::span<const std::byte> bytes, std::span<float> out);

/// Values as F32, F16 or BF16, rounded to nearest, ties to even. @pre type is one of them
void encode_gguf_floats(GgufType type, std::span<const float> values, std::span<std::byte> out);

}  // namespace shardquant::gguf
