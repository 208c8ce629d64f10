#include "pipeline/output/output_layout.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"

namespace shardquant::output {

namespace {

void add_linear(OutputLayout& output, const model::LinearLayer& layer,
                const exl2::QuantOption* option, std::vector<kernels::RowGroup>& groups) {
  if (option == nullptr) {
    output.tensors.push_back(
        {layer.key + ".weight", formats::Dtype::f16, {layer.outputs, layer.inputs}});
    return;
  }
  groups = layer.is_head ? exl2::cut_head_into_groups(*option, layer.inputs)
                         : exl2::cut_into_groups(*option, layer.inputs);
  if (groups.empty()) {
    fail(ExitCode::internal, "{}: option {} does not exist for {} inputs", layer.key,
         exl2::describe(*option), layer.inputs);
  }
  exl2::require_storable(layer.key, layer.inputs, groups);
  for (auto& tensor :
       exl2::exl2_tensor_specs(layer.key, layer.inputs, layer.outputs, groups, layer.has_bias)) {
    output.tensors.push_back(std::move(tensor));
  }
}

}  // namespace

std::int64_t OutputLayout::stored_layer_bits(const model::ModelLayout& layout) const {
  std::int64_t bits = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(layout.block_layers()); ++i) {
    bits +=
        exl2::stored_bits(groups[i], exl2::exl2_padded_outputs(layout.linear_layers[i].outputs));
  }
  return bits;
}

OutputLayout lay_out_output(const model::ModelLayout& layout,
                            std::span<const exl2::QuantOption* const> choices,
                            std::int64_t shard_mib) {
  OutputLayout output;
  output.groups.resize(layout.linear_layers.size());
  output.first_of_linear.resize(layout.linear_layers.size());
  output.first_of_plain.resize(layout.plain_tensors.size());
  for (const model::ModuleRef& module : layout.modules) {
    const auto index = static_cast<std::size_t>(module.index);
    const auto first = static_cast<std::int64_t>(output.tensors.size());
    if (module.kind == model::ModuleRef::Kind::linear) {
      output.first_of_linear[index] = first;
      add_linear(output, layout.linear_layers[index], choices[index], output.groups[index]);
    } else {
      const model::PlainTensor& tensor = layout.plain_tensors[index];
      output.first_of_plain[index] = first;
      output.tensors.push_back({tensor.name, formats::Dtype::f16, tensor.shape});
    }
  }
  output.plan = formats::plan_output_shards(output.tensors, shard_mib);
  return output;
}

}  // namespace shardquant::output
