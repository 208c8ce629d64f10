#pragma once

#include "pipeline/formats/json_text.hpp"
#include "pipeline/model/rope_settings.hpp"

namespace shardquant::model {

inline constexpr double kLargestTheta = 1e15;

/// The rotary embedding of a config.json: rope_parameters, as transformers 5 writes it, or
/// rope_scaling; both may have the base in them, which goes before rope_theta beside them, and that
/// before `default_theta`. @throws Failure(bad_data) naming the field, or a scaling that is not
/// known
RopeSettings read_rope(const formats::JsonNode& config, double default_theta = 10000.0);

/// The same of such a dictionary by itself; theta: where it has no base.
RopeSettings read_rope_parameters(const formats::JsonNode& parameters, double theta);

}  // namespace shardquant::model
