#pragma once

#include "pipeline/formats/tensor_info.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/model/source_types/stored_weight.hpp"

namespace shardquant::model {

/// Reads the weight of a linear layer (index into the layout) of a plain folder, to be quantized.
/// rebuilt_as: the type of the weights that a reader of the result multiplies with.
/// @throws Failure(bad_data) naming the tensor, the first index and the count, where it holds NaN,
/// infinity or, with F16, what is beyond that
StoredWeight read_weight(const SourceModel& model, std::int64_t layer, formats::Dtype rebuilt_as);

}  // namespace shardquant::model
