#pragma once

#include <cstdint>
#include <string>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"

namespace shardquant::exl2 {

/// True where the folder stores this layer as EXL2: "<key>.q_weight" exists.
bool is_exl2_layer(const formats::SafetensorsFolder& folder, const std::string& key);

/// Reads one quantized layer and checks all that the ExLlamaV2 loader relies on without checking
/// (docs/formats.md): types and shapes, rules R1 to R5, q_invperm a permutation,
/// q_scale_max finite and not negative, padded columns and padded bias zero, no "<key>.weight"
/// beside it, a bias exactly where one is expected.
/// @throws Failure(bad_data) naming folder, tensor and rule
Exl2Layer read_exl2_layer(const formats::SafetensorsFolder& folder, const std::string& key,
                          std::int64_t inputs, std::int64_t outputs, bool has_bias);

/// The groups of a stored layer, from q_groups and the shape of q_weight alone; checked as above.
std::vector<kernels::RowGroup> read_exl2_groups(const formats::SafetensorsFolder& folder,
                                                const std::string& key, std::int64_t inputs);

}  // namespace shardquant::exl2
