#include <vector>

#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/source_types/plain_weight.hpp"
#include "pipeline/model/source_types/quantized_weight.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

namespace {

kernels::Matrix as_row(kernels::Backend& backend, const std::vector<float>& values) {
  kernels::Matrix row = backend.allocate(1, std::ssize(values));
  backend.upload(values, row);
  return row;
}

}  // namespace

kernels::Matrix FolderWeights::weight(kernels::Backend& backend, std::int64_t layer) const {
  const LinearLayer& shape = layer_at(layer);
  const formats::SafetensorsFolder& folder = tensors_->folder();
  const StoredWeight stored =
      tensors_->is_quantized(layer)
          ? read_quantized_weight(folder, *tensors_->stored_format(), shape_of(shape))
          : read_plain_weight(folder, tensors_->weight_name(layer));
  return backend.load_weight(stored.tensor());
}

kernels::Matrix FolderWeights::bias(kernels::Backend& backend, std::int64_t layer) const {
  const LinearLayer& shape = layer_at(layer);
  if (!shape.has_bias) return {};
  // A format may pad the bias as it pads the outputs.
  std::vector<float> values(static_cast<std::size_t>(shape.outputs));
  read_floats(tensors_->folder(), shape.key + ".bias", 0, values);
  return as_row(backend, values);
}

kernels::Matrix FolderWeights::norm(kernels::Backend& backend, const std::string& name) const {
  const formats::TensorInfo& tensor = tensors_->folder().at(name);
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.at(0)));
  read_floats(tensors_->folder(), name, 0, values);
  return as_row(backend, values);
}

void FolderWeights::embedding_row(std::int32_t token, std::span<float> out) const {
  read_floats(tensors_->folder(), tensors_->plain_name(layout_->embedding), token * std::ssize(out),
              out);
}

}  // namespace shardquant::model
