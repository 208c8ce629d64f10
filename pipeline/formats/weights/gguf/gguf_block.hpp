#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pipeline/formats/weights/gguf/gguf_type.hpp"

namespace shardquant::gguf::detail {

/// Integers and fp16 numbers of one block; what its type lacks is not looked at.
struct GgufBlock {
  std::array<std::uint8_t, 256> codes{};
  std::array<std::int8_t, 16> scales{};
  std::array<std::uint8_t, 16> minima{};
  std::uint16_t d = 0;
  std::uint16_t m = 0;
};

/// How the blocks of a type lie in a file: both ways, without checks.
struct GgufBlockLayout {
  void (*pack)(const GgufBlock& block, std::byte* out);
  void (*unpack)(const std::byte* bytes, GgufBlock& block);
};

/// The layout of a type that find_gguf_grid knows: the structs of llama.cpp's ggml-common.h.
GgufBlockLayout gguf_block_layout(GgufType type);

/// Of the types with blocks of 32 elements; of those with 256.
GgufBlockLayout gguf_small_layout(GgufType type);
GgufBlockLayout gguf_k_layout(GgufType type);

}  // namespace shardquant::gguf::detail
