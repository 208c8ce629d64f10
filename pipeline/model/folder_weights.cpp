#include <cstddef>
#include <cstring>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/formats/exl2_reader.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

namespace {

kernels::ElementType element_type(formats::Dtype dtype) {
  if (dtype == formats::Dtype::f32) return kernels::ElementType::f32;
  if (dtype == formats::Dtype::bf16) return kernels::ElementType::bf16;
  return kernels::ElementType::f16;  // ModelTensors has refused all others
}

kernels::Matrix as_row(kernels::Backend& backend, const std::vector<float>& values) {
  kernels::Matrix row = backend.allocate(1, std::ssize(values));
  backend.upload(values, row);
  return row;
}

}  // namespace

kernels::Matrix FolderWeights::weight(kernels::Backend& backend, std::int64_t layer) const {
  const LinearLayer& shape = layer_at(layer);
  const formats::SafetensorsFolder& folder = tensors_->folder();
  if (tensors_->is_exl2(layer)) {
    const formats::Exl2Layer stored =
        formats::read_exl2_layer(folder, shape.key, shape.inputs, shape.outputs, shape.has_bias);
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(shape.parameters()));
    formats::decode_outputs(stored, 0, shape.outputs, halves);
    return backend.load_weight({reinterpret_cast<const std::byte*>(halves.data()),
                                kernels::ElementType::f16, shape.outputs, shape.inputs});
  }
  const std::string& name = tensors_->weight_name(layer);
  const std::vector<std::byte> bytes = folder.read_all(name);
  kernels::Matrix weight = backend.load_weight(
      {bytes.data(), element_type(folder.at(name).dtype), shape.outputs, shape.inputs});
  std::int64_t first = 0;
  const std::int64_t bad = backend.count_nonfinite(weight, first);
  if (bad > 0) {
    fail(ExitCode::bad_data, "{}: tensor {}: {} values are NaN or infinite, the first at index {}",
         folder.path().string(), formats::json_quote(name), bad, first);
  }
  return weight;
}

kernels::Matrix FolderWeights::bias(kernels::Backend& backend, std::int64_t layer) const {
  const LinearLayer& shape = layer_at(layer);
  if (!shape.has_bias) return {};
  // EXL2 pads the bias as it pads the outputs.
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
  // The embedding is the first plain tensor of every layout.
  read_floats(tensors_->folder(), tensors_->plain_name(0), token * std::ssize(out), out);
}

}  // namespace shardquant::model
