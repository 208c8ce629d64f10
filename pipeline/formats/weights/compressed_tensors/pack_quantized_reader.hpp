#pragma once

#include <string>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_layer.hpp"

namespace shardquant::compressed_tensors {

/// True where the folder stores this layer packed: "<key>.weight_packed" exists.
bool is_pack_quantized_layer(const formats::SafetensorsFolder& folder, const std::string& key);

/// What a stored layer is, told from the types and shapes of its tensors alone: config.json says it
/// too, to readers. outputs, inputs: of the layer. @throws Failure(bad_data) naming folder and
/// tensor where no scheme has such tensors
PackQuantizedSpec stored_pack_quantized_spec(const formats::SafetensorsFolder& folder,
                                             const std::string& key, std::int64_t outputs,
                                             std::int64_t inputs);

/// Reads one packed layer and checks it: types and shapes of pack_quantized_tensors, the shape that
/// weight_shape tells, scales finite, bits that no code takes zero, zero points exactly in an
/// asymmetric scheme, no stored column order and no "<key>.weight" beside it.
/// @throws Failure(bad_data) naming folder, tensor and what is wrong
PackQuantizedLayer read_pack_quantized_layer(const formats::SafetensorsFolder& folder,
                                             const PackQuantizedSpec& spec);

}  // namespace shardquant::compressed_tensors
