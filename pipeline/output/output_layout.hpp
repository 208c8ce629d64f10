#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pipeline/formats/output_shards.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::output {

/// Every tensor of the output folder and its place, known once the plan is; the same on all ranks.
struct OutputLayout {
  std::vector<formats::TensorSpec> tensors;  ///< in module order
  formats::OutputPlan plan;
  /// By linear layer: its row groups; empty for a head kept in fp16.
  std::vector<std::vector<kernels::RowGroup>> groups;
  /// By linear layer and by plain tensor: index of its first tensor in `tensors`.
  std::vector<std::int64_t> first_of_linear;
  std::vector<std::int64_t> first_of_plain;

  /// Bits of the decoder layers as they lie in the files (head, embeddings and norms left out).
  std::int64_t stored_layer_bits(const model::ModelLayout& layout) const;
};

/// choices: by linear layer, head included, the option to use; null keeps the layer in fp16 (head
/// only). Pure. @throws Failure(internal) where an option does not exist for a layer
OutputLayout lay_out_output(const model::ModelLayout& layout,
                            std::span<const exl2::QuantOption* const> choices,
                            std::int64_t shard_mib);

}  // namespace shardquant::output
