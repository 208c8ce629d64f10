#pragma once

#include <cstdint>

#include "kernels/api/backend.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/output/output_layout.hpp"

namespace shardquant::output {

/// A layer quantized and packed, and what it lost.
struct QuantizedLayer {
  exl2::Exl2Layer tensors;
  double err = 0.0;                 ///< pooled relative error, as measured on the packed values
  std::int64_t flushed_groups = 0;  ///< groups, not all zero, whose scale the format cannot hold
};

/// Quantizes one linear layer with the groups the layout gives it, packs it, and compares what the
/// reader will decode with what was measured, bit for bit (where the settings quantize for the
/// reader).
/// @throws Failure(bad_data) where the weight holds NaN; Failure(internal) where the check fails
QuantizedLayer quantize_layer(kernels::Backend& backend, const model::SourceModel& model,
                              std::int64_t layer, const OutputLayout& output,
                              const kernels::HessianFactor& factor,
                              const kernels::QuantizerSettings& settings);

}  // namespace shardquant::output
