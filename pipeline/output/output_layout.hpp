#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/output_shards.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::output {

/// By linear layer, head included: its option in the format's table; none: it is not quantized.
using LayerOptions = std::vector<std::optional<std::int64_t>>;

/// Every tensor of the output folder and its place, known once the plan is; the same on all ranks.
struct OutputLayout {
  LayerOptions options;
  std::vector<formats::TensorSpec> tensors;  ///< in module order
  formats::OutputPlan plan;
  /// By linear layer and by plain tensor: index of its first tensor in `tensors`.
  std::vector<std::int64_t> first_of_linear;
  std::vector<std::int64_t> first_of_plain;
  std::vector<std::int64_t> tensors_of_linear;  ///< by linear layer: how many it has

  bool is_quantized(std::int64_t layer) const {
    return options[static_cast<std::size_t>(layer)].has_value();
  }
};

/// Options of the layers of the blocks, and that of the head.
LayerOptions with_head(const model::ModelLayout& layout, std::span<const std::int64_t> options,
                       std::optional<std::int64_t> head);

/// Layers without an option (the head, where it is kept) are stored in the format's plain type.
/// Pure. @throws Failure(internal) where an option does not exist for a layer
OutputLayout lay_out_output(const model::ModelLayout& layout, const weights::WeightFormat& format,
                            LayerOptions options, std::int64_t shard_mib);

/// Bits of the decoder layers as they lie in the files (head, embeddings and norms left out).
std::int64_t stored_layer_bits(const model::ModelLayout& layout,
                               const weights::WeightFormat& format, const LayerOptions& options);

/// What config.json may have to say of every layer.
std::vector<weights::LayerChoice> layer_choices(const model::ModelLayout& layout,
                                                const LayerOptions& options);

}  // namespace shardquant::output
