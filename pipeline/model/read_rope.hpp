#pragma once

#include <cstdint>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/model/rope_settings.hpp"

namespace shardquant::model {

inline constexpr double kLargestTheta = 1e15;

/// The rotary embedding that a config.json asks for, as transformers 5 reads it
/// (RotaryEmbeddingConfigMixin): `rope_scaling` and `rope_parameters` are one and the same, the
/// former counting where both hold something; `rope_theta` inside it before that beside it, else
/// `default_theta`; `rope_type` before `type`, else "default"; for llama3,
/// original_max_position_embeddings beside it before that inside it, else max_position_embeddings.
/// @throws Failure(bad_data) naming the field, and what is not supported: other types, settings for
/// each type of layer, rotation of a part of a head
RopeSettings read_rope(const formats::JsonNode& config, double default_theta = 10000.0);

/// The same of such a dictionary by itself; theta: where it has no base. original: positions for
/// llama3 where it has none; 0: it must have them.
RopeSettings read_rope_parameters(const formats::JsonNode& parameters, double theta,
                                  std::int64_t original = 0);

}  // namespace shardquant::model
