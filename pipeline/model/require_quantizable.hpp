#pragma once

#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::model {

/// Refuses, before any work, what cannot become a model of this format: a folder that is quantized
/// already, a family that no reader of the format knows, and, by name of layer, what the format
/// cannot store. @throws Failure(bad_data)
void require_quantizable(const ModelDescription& description, const ModelLayout& layout,
                         const weights::WeightFormat& format);

}  // namespace shardquant::model
