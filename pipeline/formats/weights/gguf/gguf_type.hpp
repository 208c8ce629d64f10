#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace shardquant::gguf {

/// Element types of GGUF; the numbers are those in the file (ggml_type of llama.cpp). Only the ones
/// that are encoded or decoded here have a name; of all others sizes are known.
enum class GgufType : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30
};

/// The type of that number; nothing where the format has none.
std::optional<GgufType> gguf_type_from_number(std::uint32_t number);
/// The type llama.cpp calls so, as "Q4_K"; nothing where unknown.
std::optional<GgufType> gguf_type_from_name(std::string_view name);
/// "Q4_K".
std::string_view gguf_type_name(GgufType type);

/// Elements of a block; a row is a whole number of blocks.
std::int64_t gguf_block_elements(GgufType type);
/// Bytes of a block.
std::int64_t gguf_block_bytes(GgufType type);
/// Bytes of `elements` elements. @pre elements is a multiple of gguf_block_elements(type)
std::int64_t gguf_bytes(GgufType type, std::int64_t elements);

}  // namespace shardquant::gguf
