#include "pipeline/model/read_rope.hpp"

#include "pipeline/model/model_description.hpp"

namespace shardquant::model {

namespace {

using formats::JsonNode;

void read_llama3_factors(const JsonNode& scaling, RopeSettings& rope) {
  rope.factor = scaling.number("factor", 1.0, 1e6);
  rope.low_freq_factor = scaling.number("low_freq_factor", 1e-6, 1e6);
  rope.high_freq_factor = scaling.number("high_freq_factor", 1e-6, 1e6);
  rope.original_max_position_embeddings =
      scaling.integer("original_max_position_embeddings", 1, kMaxPositions);
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    scaling.refuse("high_freq_factor must be larger than low_freq_factor");
  }
}

}  // namespace

RopeSettings read_rope_parameters(const JsonNode& parameters, double theta) {
  RopeSettings rope;
  rope.theta = parameters.number_or("rope_theta", theta, 1.0, kLargestTheta);
  const auto named = parameters.find("rope_type");
  const auto kind = named ? named : parameters.find("type");
  if (!kind) parameters.refuse("\"rope_type\" is missing");
  if (kind->as_string() == "default") return rope;
  if (kind->as_string() == "linear") {
    rope.scaling = RopeScalingKind::linear;
    rope.factor = parameters.number("factor", 1.0, 1e6);
  } else if (kind->as_string() == "llama3") {
    rope.scaling = RopeScalingKind::llama3;
    read_llama3_factors(parameters, rope);
  } else {
    kind->refuse("the RoPE scaling " + formats::json_quote(kind->as_string()) +
                 " is not supported; known are default, linear and llama3");
  }
  return rope;
}

RopeSettings read_rope(const JsonNode& config, double default_theta) {
  const double theta = config.number_or("rope_theta", default_theta, 1.0, kLargestTheta);
  const auto newer = config.find("rope_parameters");
  const auto parameters = newer ? newer : config.find("rope_scaling");
  if (parameters) return read_rope_parameters(*parameters, theta);
  RopeSettings rope;
  rope.theta = theta;
  return rope;
}

}  // namespace shardquant::model
