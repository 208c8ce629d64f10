#pragma once

#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/source_types/stored_weight.hpp"

namespace shardquant::model {

/// The weights that readers of the format multiply with.
StoredWeight decoded_weight(const weights::StoredLayer& stored, const weights::LayerShape& layer);

/// Reads a layer that a folder holds in a weight format, decoded as the format's readers do it.
/// Beside the result it has the layer's tensors in memory. @throws Failure(bad_data) as
/// WeightFormat::read
StoredWeight read_quantized_weight(const formats::SafetensorsFolder& folder,
                                   const weights::WeightFormat& format,
                                   const weights::LayerShape& layer);

}  // namespace shardquant::model
