#pragma once

#include <string>
#include <string_view>

#include "pipeline/formats/tensor_info.hpp"
#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_entry.hpp"

namespace shardquant::compressed_tensors {

/// Text of the output's config.json: the source's keys and values in their order, a former
/// quantization_config left out, `dtype` and `torch_dtype` (transformers before 5 reads the latter)
/// as the tensors are, the entry last. `file` names the source in messages.
/// @throws Failure(bad_data) where the text is no JSON object
std::string quantized_config(std::string_view source, const std::string& file,
                             const CompressedTensorsEntry& entry, formats::Dtype dtype);

}  // namespace shardquant::compressed_tensors
