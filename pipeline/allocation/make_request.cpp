#include "pipeline/allocation/make_request.hpp"

#include <utility>

namespace shardquant::allocation {

namespace {

void add(const std::vector<std::string>& texts, Constraint::Kind kind,
         std::vector<Constraint>& constraints) {
  for (const std::string& text : texts) constraints.push_back(parse_constraint(kind, text));
}

}  // namespace

AllocationRequest make_request(const RequestTexts& texts) {
  AllocationRequest request;
  request.objective = texts.objective;
  request.tolerance = texts.tolerance;
  add(texts.pins, Constraint::Kind::pin, request.constraints);
  add(texts.floors, Constraint::Kind::floor, request.constraints);
  add(texts.ceilings, Constraint::Kind::ceiling, request.constraints);
  add(texts.ties, Constraint::Kind::tie, request.constraints);
  add(texts.ties_across_blocks, Constraint::Kind::tie_all, request.constraints);
  if (!texts.weights.empty()) request.weights = read_layer_weights(texts.weights);
  if (!texts.size.empty()) {
    request.budget = Budget::folder(parse_size(texts.size));
  } else if (texts.bits > 0) {
    request.budget = Budget::total_bits(texts.bits);
  } else {
    request.budget = Budget::bits_per_weight(texts.bpw);
  }
  return request;
}

}  // namespace shardquant::allocation
