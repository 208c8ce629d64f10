#pragma once

#include <cstdint>

#include "kernels/api/backend.hpp"
#include "pipeline/formats/exl2_layer.hpp"
#include "pipeline/stages/output_layout.hpp"
#include "pipeline/stages/source_model.hpp"

namespace shardquant::stages {

/// A layer quantized and packed, and what it lost.
struct QuantizedLayer {
  formats::Exl2Layer tensors;
  double err = 0.0;                 ///< pooled relative error, as measured on the packed values
  std::int64_t flushed_groups = 0;  ///< groups, not all zero, whose scale the format cannot hold
};

/// Quantizes one linear layer with the groups the layout gives it, packs it, and compares what the
/// reader will decode with what was measured, bit for bit (where the settings quantize for the
/// reader).
/// @throws Failure(bad_data) where the weight holds NaN; Failure(internal) where the check fails
QuantizedLayer quantize_layer(kernels::Backend& backend, const SourceModel& model,
                              std::int64_t layer, const OutputLayout& output,
                              const kernels::HessianFactor& factor,
                              const kernels::QuantizerSettings& settings);

/// Settings for the group: a down projection whose gate and up have biases keeps its inputs in the
/// model's order, because ExLlamaV2 moves its permutation into those layers but not into their
/// biases (exl2-format.md section 9).
kernels::QuantizerSettings settings_for_group(const SourceModel& model, std::int64_t group,
                                              kernels::QuantizerSettings settings);

}  // namespace shardquant::stages
