#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/tensor_info.hpp"

namespace shardquant::formats {

/// Beginning of a safetensors file and where its tensors go.
struct SafetensorsLayout {
  std::string header;                 ///< length word and JSON; a multiple of 8 bytes
  std::vector<std::int64_t> offsets;  ///< place in the file of each tensor, in the order given
  std::int64_t file_bytes = 0;
};

/// Lays out a file byte for byte as the reference library's serializer does without metadata:
/// tensors by descending type (so that each one is aligned to its element size), then name; compact
/// JSON, padded with spaces to 8 bytes.
/// @throws Failure(internal) where a name is given twice or the header becomes too long
SafetensorsLayout lay_out_safetensors(std::span<const TensorSpec> tensors);

}  // namespace shardquant::formats
