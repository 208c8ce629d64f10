#include "pipeline/output/output_layout.hpp"

#include <utility>

#include "pipeline/model/layer_shape.hpp"

namespace shardquant::output {

namespace {

// Weight, and bias where it has one, as they are.
std::vector<formats::TensorSpec> plain_tensors(const weights::LayerShape& layer,
                                               formats::Dtype dtype) {
  std::vector<formats::TensorSpec> tensors = {
      {layer.key + ".weight", dtype, {layer.outputs, layer.inputs}}};
  if (layer.has_bias) tensors.push_back({layer.key + ".bias", dtype, {layer.outputs}});
  return tensors;
}

}  // namespace

LayerOptions with_head(const model::ModelLayout& layout, std::span<const std::int64_t> options,
                       std::optional<std::int64_t> head) {
  LayerOptions all(options.begin(), options.end());
  all.insert(all.begin() + layout.head_layer, head);
  return all;
}

OutputLayout lay_out_output(const model::ModelLayout& layout, const weights::WeightFormat& format,
                            LayerOptions options, std::int64_t shard_mib) {
  OutputLayout output;
  output.options = std::move(options);
  output.first_of_linear.resize(layout.linear_layers.size());
  output.tensors_of_linear.resize(layout.linear_layers.size());
  output.first_of_plain.resize(layout.plain_tensors.size());
  for (const model::ModuleRef& module : layout.modules) {
    const auto index = static_cast<std::size_t>(module.index);
    const std::int64_t first = std::ssize(output.tensors);
    if (module.kind == model::ModuleRef::Kind::linear) {
      const weights::LayerShape shape = model::shape_of(layout.linear_layers[index]);
      const auto option = output.options[index];
      auto tensors = option ? format.tensors(*option, shape)
                            : plain_tensors(shape, format.plain_dtype(shape.dtype));
      output.first_of_linear[index] = first;
      output.tensors_of_linear[index] = std::ssize(tensors);
      for (auto& tensor : tensors) output.tensors.push_back(std::move(tensor));
    } else {
      const model::PlainTensor& tensor = layout.plain_tensors[index];
      output.first_of_plain[index] = first;
      output.tensors.push_back(
          {tensor.name, format.plain_dtype(layout.linear_layers.front().dtype), tensor.shape});
    }
  }
  output.plan = formats::plan_output_shards(output.tensors, shard_mib);
  return output;
}

std::int64_t stored_layer_bits(const model::ModelLayout& layout,
                               const weights::WeightFormat& format, const LayerOptions& options) {
  std::int64_t bits = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(layout.block_layers()); ++i) {
    bits += format.stored_bits(*options[i], model::shape_of(layout.linear_layers[i]));
  }
  return bits;
}

std::vector<weights::LayerChoice> layer_choices(const model::ModelLayout& layout,
                                                const LayerOptions& options) {
  std::vector<weights::LayerChoice> choices;
  for (std::size_t i = 0; i < options.size(); ++i) {
    choices.push_back({model::shape_of(layout.linear_layers[i]), options[i]});
  }
  return choices;
}

}  // namespace shardquant::output
