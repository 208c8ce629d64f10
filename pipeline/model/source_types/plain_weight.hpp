#pragma once

#include <string>

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/model/source_types/stored_weight.hpp"

namespace shardquant::model {

/// Reads a matrix that a folder holds as it is, F32, F16 or BF16.
/// @throws Failure(bad_data) naming file, tensor, first index [row, column] and count, where it
/// holds NaN or infinity; and for other types and shapes
StoredWeight read_plain_weight(const formats::SafetensorsFolder& folder, const std::string& name);

/// Throws Failure(bad_data) naming tensor, first index and count, where a weight is beyond 65504.
void require_fits_half(const StoredWeight& weight, const formats::SafetensorsFolder& folder,
                       const std::string& name);

}  // namespace shardquant::model
