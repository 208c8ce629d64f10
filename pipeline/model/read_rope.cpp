#include "pipeline/model/read_rope.hpp"

#include <optional>

#include "pipeline/model/model_description.hpp"

namespace shardquant::model {

namespace {

using formats::JsonNode;

constexpr std::string_view kOriginal = "original_max_position_embeddings";

std::optional<JsonNode> rope_dictionary(const JsonNode& config) {
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(name);
    if (found && (!found->is_object() || found->size() > 0)) return found;
  }
  return std::nullopt;
}

void refuse_parts_of_heads(const JsonNode& node) {
  if (node.number_or("partial_rotary_factor", 1.0, 0.0, 1e3) != 1.0) {
    node.at("partial_rotary_factor").refuse("heads that are rotated in part are not supported");
  }
}

void read_llama3_factors(const JsonNode& parameters, std::int64_t original, RopeSettings& rope) {
  rope.factor = parameters.number("factor", 1.0, 1e6);
  rope.low_freq_factor = parameters.number("low_freq_factor", 1e-6, 1e6);
  rope.high_freq_factor = parameters.number("high_freq_factor", 1e-6, 1e6);
  rope.original_max_position_embeddings =
      original > 0 ? parameters.integer_or(kOriginal, original, 1, kMaxPositions)
                   : parameters.integer(kOriginal, 1, kMaxPositions);
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    parameters.refuse("high_freq_factor must be larger than low_freq_factor");
  }
}

}  // namespace

RopeSettings read_rope_parameters(const JsonNode& parameters, double theta, std::int64_t original) {
  RopeSettings rope;
  rope.theta = parameters.number_or("rope_theta", theta, 1.0, kLargestTheta);
  refuse_parts_of_heads(parameters);
  if (!parameters.find("rope_type") && !parameters.find("type") && parameters.find("factor")) {
    parameters.refuse("\"rope_type\" is missing, and \"factor\" would be left out without it");
  }
  const std::string kind =
      parameters.string_or("rope_type", parameters.string_or("type", "default"));
  if (kind == "linear") {
    rope.scaling = RopeScalingKind::linear;
    rope.factor = parameters.number("factor", 1.0, 1e6);
  } else if (kind == "llama3") {
    rope.scaling = RopeScalingKind::llama3;
    read_llama3_factors(parameters, original, rope);
  } else if (kind != "default") {
    parameters.at(parameters.find("rope_type") ? "rope_type" : "type")
        .refuse("the RoPE scaling " + formats::json_quote(kind) +
                " is not supported; known are default, linear and llama3");
  }
  return rope;
}

RopeSettings read_rope(const JsonNode& config, double default_theta) {
  const double theta = config.number_or("rope_theta", default_theta, 1.0, kLargestTheta);
  refuse_parts_of_heads(config);
  const auto parameters = rope_dictionary(config);
  if (!parameters) {
    RopeSettings rope;
    rope.theta = theta;
    return rope;
  }
  for (std::int64_t i = 0; parameters->is_object() && i < parameters->size(); ++i) {
    if (parameters->member(i).is_object()) {
      parameters->member(i).refuse("RoPE settings for each type of layer are not supported");
    }
  }
  const std::int64_t positions =
      config.integer_or("max_position_embeddings", 2048, 1, kMaxPositions);
  RopeSettings rope = read_rope_parameters(*parameters, theta, positions);
  // Beside the dictionary it goes before the one inside.
  if (rope.scaling == RopeScalingKind::llama3) {
    rope.original_max_position_embeddings =
        config.integer_or(kOriginal, rope.original_max_position_embeddings, 1, kMaxPositions);
  }
  return rope;
}

}  // namespace shardquant::model
