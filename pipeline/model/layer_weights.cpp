#include "pipeline/model/layer_weights.hpp"

#include "pipeline/model/source_types/plain_weight.hpp"

namespace shardquant::model {

StoredWeight read_weight(const SourceModel& model, std::int64_t layer, formats::Dtype rebuilt_as) {
  const std::string& name = model.tensors.weight_name(layer);
  StoredWeight weight = read_plain_weight(model.folder, name);
  if (rebuilt_as == formats::Dtype::f16) require_fits_half(weight, model.folder, name);
  return weight;
}

}  // namespace shardquant::model
