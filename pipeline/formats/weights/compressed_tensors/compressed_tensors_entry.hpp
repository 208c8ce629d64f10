#pragma once

#include <string>
#include <vector>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_scheme.hpp"

namespace shardquant::compressed_tensors {

/// Scheme of one module, or of all that a pattern matches.
struct TargetScheme {
  std::string target;  ///< exact module name, or "re:" and a pattern (ModulePattern)
  PackQuantizedScheme scheme;

  friend bool operator==(const TargetScheme&, const TargetScheme&) = default;
};

/// The quantization_config of a compressed-tensors model whose layers all are `pack-quantized`
/// weights, with activations as they are.
struct CompressedTensorsEntry {
  std::vector<TargetScheme> targets;
  std::vector<std::string> ignore;  ///< modules that are not quantized: names or patterns

  friend bool operator==(const CompressedTensorsEntry&, const CompressedTensorsEntry&) = default;
};

/// The entry as a JSON object: one group of targets per distinct scheme, groups in ascending order
/// and named by pack_quantized_name, targets and ignored modules in the order given. Exact names
/// are what vLLM translates to its own; patterns it takes as they are.
/// @throws Failure(internal) where a target is given twice
std::string compressed_tensors_text(const CompressedTensorsEntry& entry);

/// Reads a quantization_config strictly: a target is given once, groups hold `pack-quantized`
/// integers of 1 to 8 bits per group or per output, activations and cache are not quantized, no
/// column order is stored, and no target is a class of modules. Targets come in the order of the
/// text. @throws Failure(bad_data) naming file and field
CompressedTensorsEntry read_compressed_tensors(const formats::JsonNode& quantization_config);

}  // namespace shardquant::compressed_tensors
