#pragma once

#include "pipeline/model/source_model.hpp"
#include "pipeline/model/stored_weight.hpp"

namespace shardquant::model {

/// Reads the weight of a linear layer (index into the layout) of a plain folder, to be quantized.
/// @throws Failure(bad_data) naming the tensor, the first index and the count, where it holds NaN,
/// infinity or what is beyond fp16
StoredWeight read_weight(const SourceModel& model, std::int64_t layer);

}  // namespace shardquant::model
