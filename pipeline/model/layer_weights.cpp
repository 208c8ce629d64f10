#include "pipeline/model/layer_weights.hpp"

namespace shardquant::model {

StoredWeight read_weight(const SourceModel& model, std::int64_t layer) {
  const std::string& name = model.tensors.weight_name(layer);
  StoredWeight weight = read_stored_weight(model.folder, name);
  require_fits_half(weight, model.folder, name);
  return weight;
}

}  // namespace shardquant::model
