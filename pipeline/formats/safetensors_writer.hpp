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
/// @pre no name is given twice @throws Failure(internal) where the header becomes too long
SafetensorsLayout lay_out_safetensors(std::span<const TensorSpec> tensors);

/// No header spends more bytes on this tensor, wherever it lies.
std::int64_t largest_header_entry(const TensorSpec& tensor);

/// @throws Failure(internal) naming a tensor that is given twice
void require_distinct_names(std::span<const TensorSpec> tensors);

}  // namespace shardquant::formats
