#include "pipeline/stages/layer_weights.hpp"

namespace shardquant::stages {

model::StoredWeight read_weight(const SourceModel& model, std::int64_t layer) {
  const std::string& name = model.tensors.weight_name(layer);
  model::StoredWeight weight = model::read_stored_weight(model.folder, name);
  model::require_fits_half(weight, model.folder, name);
  return weight;
}

}  // namespace shardquant::stages
