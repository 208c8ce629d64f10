#include "pipeline/formats/weights/compressed_tensors/pack_quantized_reader.hpp"

#include <cmath>

#include "pipeline/failure.hpp"
#include "pipeline/formats/float_elements.hpp"
#include "pipeline/formats/require_tensor.hpp"
#include "pipeline/formats/weights/compressed_tensors/bit_stream.hpp"

namespace shardquant::compressed_tensors {

namespace {

void require_whole_groups(const formats::SafetensorsFolder& folder, const PackQuantizedSpec& spec) {
  if (spec.inputs % spec.group_inputs() != 0) {
    formats::refuse_tensor(folder, spec.key + ".weight_scale",
                           fmt::format("{} inputs are no multiple of the group of {}", spec.inputs,
                                       spec.group_inputs()));
  }
}

void require_no_others(const formats::SafetensorsFolder& folder, const PackQuantizedSpec& spec) {
  const auto refuse_where_present = [&](const char* name, std::string_view reason) {
    if (folder.find(spec.key + name) != nullptr)
      formats::refuse_tensor(folder, spec.key + name, reason);
  };
  refuse_where_present(".weight", "lies beside the packed layer");
  refuse_where_present(".weight_g_idx", "a stored column order is not supported");
  if (spec.scheme.symmetric) {
    refuse_where_present(".weight_zero_point", "zero points in a symmetric scheme");
  }
}

void check_shape(const formats::SafetensorsFolder& folder, const PackQuantizedLayer& layer) {
  const PackQuantizedSpec& spec = layer.spec;
  if (layer.weight_shape[0] != spec.outputs || layer.weight_shape[1] != spec.inputs) {
    formats::refuse_tensor(
        folder, spec.key + ".weight_shape",
        fmt::format("says [{}, {}]; the layer is [{}, {}]", layer.weight_shape[0],
                    layer.weight_shape[1], spec.outputs, spec.inputs));
  }
}

void check_scales(const formats::SafetensorsFolder& folder, const PackQuantizedLayer& layer) {
  const PackQuantizedSpec& spec = layer.spec;
  for (std::int64_t i = 0; i < spec.outputs * spec.groups(); ++i) {
    if (!std::isfinite(formats::float_element(layer.weight_scale.data(), spec.dtype, i))) {
      formats::refuse_tensor(
          folder, spec.key + ".weight_scale",
          fmt::format("output {}, group {} is not finite", i / spec.groups(), i % spec.groups()));
    }
  }
}

void check_stream_ends(const formats::SafetensorsFolder& folder, const PackQuantizedLayer& layer) {
  const PackQuantizedSpec& spec = layer.spec;
  const std::int64_t words = spec.packed_words();
  for (std::int64_t n = 0; n < spec.outputs; ++n) {
    const auto row = std::span(layer.weight_packed).subspan(n * words, words);
    if (!is_stream_end_clear(row, spec.scheme.bits, spec.inputs)) {
      formats::refuse_tensor(folder, spec.key + ".weight_packed",
                             fmt::format("output {}: bits after the last code are not zero", n));
    }
  }
  const std::int64_t groups = spec.groups();
  for (std::int64_t g = 0; g < groups && !spec.scheme.symmetric; ++g) {
    const auto last =
        std::span(layer.weight_zero_point).subspan((spec.zero_words() - 1) * groups + g, 1);
    if (!is_stream_end_clear(last, spec.scheme.bits, spec.outputs)) {
      formats::refuse_tensor(
          folder, spec.key + ".weight_zero_point",
          fmt::format("group {}: bits after the last zero point are not zero", g));
    }
  }
}

}  // namespace

bool is_pack_quantized_layer(const formats::SafetensorsFolder& folder, const std::string& key) {
  return folder.find(key + ".weight_packed") != nullptr;
}

PackQuantizedSpec stored_pack_quantized_spec(const formats::SafetensorsFolder& folder,
                                             const std::string& key, std::int64_t outputs,
                                             std::int64_t inputs) {
  const std::string packed = key + ".weight_packed";
  const std::string scale = key + ".weight_scale";
  const formats::TensorInfo& words =
      formats::require_tensor(folder, packed, formats::Dtype::i32, 2);
  const formats::TensorInfo* scales = folder.find(scale);
  if (scales == nullptr || scales->shape.size() != 2 || !formats::is_weight_dtype(scales->dtype)) {
    formats::refuse_tensor(folder, scale, "no matrix of F16, BF16 or F32");
  }
  PackQuantizedSpec spec{key, outputs, inputs, {}, scales->dtype};
  spec.scheme.symmetric = folder.find(key + ".weight_zero_point") == nullptr;
  const std::int64_t groups = scales->shape[1];
  if (groups < 1 || inputs % groups != 0) {
    formats::refuse_tensor(folder, scale, fmt::format("{} groups of {} inputs", groups, inputs));
  }
  spec.scheme.group = groups == 1 ? 0 : inputs / groups;
  constexpr int kMostBits = 8;
  for (spec.scheme.bits = 1; spec.scheme.bits <= kMostBits; ++spec.scheme.bits) {
    if (spec.packed_words() == words.shape[1]) return spec;
  }
  formats::refuse_tensor(
      folder, packed,
      fmt::format("{} words for {} codes of 1 to {} bits", words.shape[1], inputs, kMostBits));
}

PackQuantizedLayer read_pack_quantized_layer(const formats::SafetensorsFolder& folder,
                                             const PackQuantizedSpec& spec) {
  require_whole_groups(folder, spec);
  for (const formats::TensorSpec& tensor : pack_quantized_tensors(spec))
    formats::require_tensor(folder, tensor);
  require_no_others(folder, spec);
  PackQuantizedLayer layer;
  layer.spec = spec;
  layer.weight_packed = formats::read_values<std::uint32_t>(folder, spec.key + ".weight_packed");
  layer.weight_scale = folder.read_all(spec.key + ".weight_scale");
  layer.weight_shape = formats::read_values<std::int64_t>(folder, spec.key + ".weight_shape");
  if (!spec.scheme.symmetric) {
    layer.weight_zero_point =
        formats::read_values<std::uint32_t>(folder, spec.key + ".weight_zero_point");
  }
  check_shape(folder, layer);
  check_scales(folder, layer);
  check_stream_ends(folder, layer);
  return layer;
}

}  // namespace shardquant::compressed_tensors
