#include "pipeline/model/source_types/quantized_weight.hpp"

namespace shardquant::model {

StoredWeight decoded_weight(const weights::StoredLayer& stored, const weights::LayerShape& layer) {
  StoredWeight weight{{}, stored.value_type(), layer.outputs, layer.inputs};
  weight.bytes.resize(static_cast<std::size_t>(layer.parameters() * element_bytes(weight.type)));
  stored.decode_outputs(0, layer.outputs, weight.bytes);
  return weight;
}

StoredWeight read_quantized_weight(const formats::SafetensorsFolder& folder,
                                   const weights::WeightFormat& format,
                                   const weights::LayerShape& layer) {
  return decoded_weight(*format.read(folder, layer), layer);
}

}  // namespace shardquant::model
