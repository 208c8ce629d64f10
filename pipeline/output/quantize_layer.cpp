#include "pipeline/output/quantize_layer.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/api/named_range.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/layer_weights.hpp"
#include "pipeline/waves/relative_error.hpp"

namespace shardquant::output {

namespace {

// Outputs that are decoded at a time for the comparison.
constexpr std::int64_t kCheckOutputs = 64;

// Zero has two representations that multiply alike; everything else must agree bit for bit.
bool same_value(std::uint16_t a, std::uint16_t b) {
  return a == b || ((a | b) & 0x7fff) == 0;
}

void require_same_values(const weights::LayerShape& layer, const weights::StoredLayer& stored,
                         const weights::QuantizedWeight& weight) {
  const std::vector<std::uint16_t>& values = weight.matrix.values;
  std::vector<std::uint16_t> decoded(static_cast<std::size_t>(kCheckOutputs * layer.inputs));
  for (std::int64_t first = 0; first < layer.outputs; first += kCheckOutputs) {
    const std::int64_t count = std::min(kCheckOutputs, layer.outputs - first);
    stored.decode_outputs(first, count, std::as_writable_bytes(std::span(decoded)));
    for (std::int64_t k = 0; k < layer.inputs; ++k) {
      const std::uint16_t* want = values.data() + k * layer.outputs + first;
      const std::uint16_t* got = decoded.data() + weight.perm[static_cast<std::size_t>(k)];
      for (std::int64_t n = 0; n < count; ++n) {
        if (same_value(want[n], got[n * layer.inputs])) continue;
        fail(ExitCode::internal,
             "{}: packed weight of output {}, input {} decodes to {:#06x}, measured was {:#06x}",
             layer.key, first + n, weight.perm[static_cast<std::size_t>(k)], got[n * layer.inputs],
             want[n]);
      }
    }
  }
}

std::vector<std::byte> read_bias(const model::SourceModel& model, const weights::LayerShape& layer,
                                 formats::Dtype dtype) {
  if (!layer.has_bias) return {};
  std::vector<std::byte> bias(
      static_cast<std::size_t>(layer.outputs * formats::dtype_bytes(dtype)));
  model::read_as(model.folder, layer.key + ".bias", dtype, 0, bias);
  return bias;
}

}  // namespace

QuantizedLayer quantize_layer(kernels::Backend& backend, const model::SourceModel& model,
                              const QuantizeOrder& order, const kernels::HessianFactor& factor,
                              const kernels::QuantizerSettings& settings) {
  const weights::LayerShape layer = model::shape_of(model.layer(order.layer));
  const kernels::NamedRange range(backend, "quantize " + layer.key);
  const formats::Dtype dtype = order.format.plain_dtype(layer.dtype);
  const kernels::Matrix weight = backend.permuted_transpose(
      model::read_weight(model, order.layer, dtype).tensor(), factor.perm);
  const auto norms = backend.weight_norms(weight, factor, {}, 1);
  const auto recipe = order.format.recipe(order.option, layer);
  if (!recipe) fail(ExitCode::internal, "{}: has no option {}", layer.key, order.option);
  const kernels::QuantizedMatrix matrix = backend.quantize(weight, factor, *recipe, settings);

  const std::vector<std::byte> bias = read_bias(model, layer, dtype);
  const weights::QuantizedWeight quantized{matrix, factor.perm, bias};
  QuantizedLayer result;
  result.stored = order.format.pack(order.option, layer, quantized);
  if (settings.scale_rounding == kernels::ScaleRounding::reader) {
    require_same_values(layer, *result.stored, quantized);
  }
  result.err = waves::pooled_error(matrix.error, norms, factor.damp);
  result.flushed_groups = matrix.error.flushed_groups;
  return result;
}

}  // namespace shardquant::output
