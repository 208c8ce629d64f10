#include "pipeline/model/source_types/quantized_weight.hpp"

namespace shardquant::model {

StoredWeight read_quantized_weight(const formats::SafetensorsFolder& folder,
                                   const weights::WeightFormat& format,
                                   const weights::LayerShape& layer) {
  const auto stored = format.read(folder, layer);
  StoredWeight weight{{}, stored->value_type(), layer.outputs, layer.inputs};
  weight.bytes.resize(
      static_cast<std::size_t>(layer.parameters() * element_bytes(stored->value_type())));
  stored->decode_outputs(0, layer.outputs, weight.bytes);
  return weight;
}

}  // namespace shardquant::model
