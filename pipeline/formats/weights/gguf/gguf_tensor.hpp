#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/formats/weights/gguf/gguf_type.hpp"

namespace shardquant::gguf {

/// Dimensions a tensor can have, llama.cpp's limit.
inline constexpr std::int64_t kMaxGgufRank = 4;
/// Longest tensor name that llama.cpp reads, bytes.
inline constexpr std::int64_t kMaxGgufNameBytes = 63;
/// Where general.alignment is missing.
inline constexpr std::int64_t kDefaultGgufAlignment = 32;

/// A tensor as it is to be stored.
struct GgufTensorSpec {
  std::string name;
  GgufType type = GgufType::f32;
  std::vector<std::int64_t> dims;  ///< fastest first: inputs, outputs, experts

  /// Elements next to each other in the file: the first dimension.
  std::int64_t row_elements() const { return dims.front(); }
  /// Rows: the product of the other dimensions.
  std::int64_t rows() const;
  std::int64_t row_bytes() const { return gguf_bytes(type, row_elements()); }
  std::int64_t bytes() const { return rows() * row_bytes(); }

  friend bool operator==(const GgufTensorSpec&, const GgufTensorSpec&) = default;
};

/// A tensor in a file; begin and end are byte places in it.
struct GgufTensor : GgufTensorSpec {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// "Q4_K [4096, 1024]", dimensions as in the file, for messages.
std::string describe_gguf(const GgufTensorSpec& tensor);

}  // namespace shardquant::gguf
