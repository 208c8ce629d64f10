#include "pipeline/output/quantize_layer.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/api/named_range.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_weights.hpp"

namespace shardquant::output {

namespace {

// Stored rows that are decoded at a time for the comparison.
constexpr std::int64_t kCheckRows = 512;

void require_same_values(const exl2::Exl2Layer& layer, const kernels::QuantizedMatrix& matrix) {
  const std::int64_t padded = layer.padded_outputs();
  std::vector<std::uint16_t> decoded(static_cast<std::size_t>(kCheckRows * padded));
  for (std::int64_t first = 0; first < layer.inputs; first += kCheckRows) {
    const std::int64_t count = std::min(kCheckRows, layer.inputs - first);
    exl2::decode_stored_rows(layer, first, count,
                             std::span(decoded).first(static_cast<std::size_t>(count * padded)));
    for (std::int64_t r = 0; r < count; ++r) {
      const auto* want = matrix.values.data() + (first + r) * layer.outputs;
      const auto* got = decoded.data() + r * padded;
      for (std::int64_t n = 0; n < layer.outputs; ++n) {
        // Zero has two representations that multiply alike; everything else must agree bit for bit.
        const bool both_zero = (want[n] & 0x7fff) == 0 && (got[n] & 0x7fff) == 0;
        if (want[n] == got[n] || both_zero) continue;
        fail(ExitCode::internal,
             "{}: packed weight at stored row {}, column {} decodes to {:#06x}, measured was "
             "{:#06x}",
             layer.key, first + r, n, got[n], want[n]);
      }
    }
  }
}

std::vector<std::uint16_t> read_bias(const model::SourceModel& model,
                                     const model::LinearLayer& layer) {
  if (!layer.has_bias) return {};
  std::vector<std::uint16_t> bias(static_cast<std::size_t>(layer.outputs));
  model::read_halves(model.folder, layer.key + ".bias", 0, bias);
  return bias;
}

}  // namespace

QuantizedLayer quantize_layer(kernels::Backend& backend, const model::SourceModel& model,
                              std::int64_t layer, const OutputLayout& output,
                              const kernels::HessianFactor& factor,
                              const kernels::QuantizerSettings& settings) {
  const model::LinearLayer& info = model.layer(layer);
  const kernels::NamedRange range(backend, "quantize " + info.key);
  const kernels::Matrix weight =
      backend.permuted_transpose(model::read_weight(model, layer).tensor(), factor.perm);
  const auto norms = backend.weight_norms(weight, factor, {}, 1);
  const auto& groups = output.groups[static_cast<std::size_t>(layer)];
  const kernels::QuantizedMatrix matrix = backend.quantize(weight, factor, groups, settings);

  QuantizedLayer result;
  result.tensors = exl2::pack_exl2_layer(info.key, info.inputs, info.outputs, groups, matrix.codes,
                                         matrix.scale_codes, matrix.scale_max, factor.perm,
                                         read_bias(model, info));
  if (settings.scale_rounding == kernels::ScaleRounding::reader) {
    require_same_values(result.tensors, matrix);
  }
  const double loss = std::max(matrix.error.loss(factor.damp), 0.0);
  const double norm = norms.output(factor.damp);
  result.err = norm > 0.0 ? std::sqrt(loss / norm) : 0.0;
  result.flushed_groups = matrix.error.flushed_groups;
  return result;
}

}  // namespace shardquant::output
