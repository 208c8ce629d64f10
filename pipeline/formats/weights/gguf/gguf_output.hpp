#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "pipeline/formats/output_shards.hpp"
#include "pipeline/formats/weights/gguf/gguf_metadata.hpp"
#include "pipeline/formats/weights/gguf/gguf_tensor.hpp"

namespace shardquant::gguf {

/// Lays out a GGUF model. Metadata is copied verbatim but for the keys split.*, tensors come in the
/// order given. With `part_mib` 0, or where all fits, there is one file, STEM.gguf; else parts as
/// gguf-split makes them: a new one where the next tensor would bring the data over `part_mib`,
/// metadata in the first one alone. The plan has no index. Pure: the same input gives the same
/// bytes. What no header and no tensor covers is to be zero.
/// @throws Failure(internal) where a name is given twice, Failure(config) for more than 65535 parts
formats::OutputPlan plan_gguf_output(const GgufMetadata& metadata,
                                     std::span<const GgufTensorSpec> tensors, std::string_view stem,
                                     std::int64_t part_mib);

}  // namespace shardquant::gguf
