#pragma once

#include <cstdint>
#include <memory>

#include "kernels/api/backend.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/source_model.hpp"

namespace shardquant::output {

/// A layer quantized and packed, and what it lost.
struct QuantizedLayer {
  std::unique_ptr<weights::StoredLayer> stored;
  double err = 0.0;                 ///< pooled relative error, as measured on the packed values
  std::int64_t flushed_groups = 0;  ///< groups, not all zero, whose scale the format cannot hold
};

/// How a layer is to be quantized.
struct QuantizeOrder {
  std::int64_t layer = 0;  ///< of the model
  const weights::WeightFormat& format;
  std::int64_t option = 0;
};

/// Quantizes one linear layer, packs it, and compares what the reader will decode with what was
/// measured, bit for bit (where the settings quantize for the reader).
/// @throws Failure(bad_data) where the weight holds NaN; Failure(internal) where the check fails
QuantizedLayer quantize_layer(kernels::Backend& backend, const model::SourceModel& model,
                              const QuantizeOrder& order, const kernels::HessianFactor& factor,
                              const kernels::QuantizerSettings& settings);

}  // namespace shardquant::output
