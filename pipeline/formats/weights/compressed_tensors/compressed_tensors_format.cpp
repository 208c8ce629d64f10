#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_format.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>

#include "pipeline/failure.hpp"
#include "pipeline/formats/float_elements.hpp"
#include "pipeline/formats/weights/compressed_tensors/compressed_tensors_config.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_layer.hpp"
#include "pipeline/formats/weights/compressed_tensors/pack_quantized_reader.hpp"

namespace shardquant::compressed_tensors {

namespace {

using formats::Dtype;
using weights::LayerShape;

constexpr std::array<std::string_view, 5> kSuffixes = {
    ".weight_packed", ".weight_scale", ".weight_shape", ".weight_zero_point", ".bias"};

kernels::ElementType element_type(Dtype dtype) {
  return dtype == Dtype::bf16 ? kernels::ElementType::bf16 : kernels::ElementType::f16;
}

// Scales and weights are kept in 16 bits, as servers hold them; fp16 of a model in fp32, whose
// mantissa is the longer one.
Dtype stored_dtype(Dtype model) {
  return model == Dtype::bf16 ? Dtype::bf16 : Dtype::f16;
}

PackQuantizedSpec spec_of(const LayerShape& layer, const PackQuantizedScheme& scheme) {
  return {layer.key, layer.outputs, layer.inputs, scheme, stored_dtype(layer.dtype)};
}

PackQuantizedUse use_of(const LayerShape& layer) {
  PackQuantizedUse use;
  use.outputs = layer.outputs;
  use.inputs = layer.inputs;
  return use;
}

formats::TensorSpec bias_tensor(const LayerShape& layer) {
  return {layer.key + ".bias", stored_dtype(layer.dtype), {layer.outputs}};
}

class StoredPackedLayer final : public weights::StoredLayer {
 public:
  StoredPackedLayer(PackQuantizedLayer layer, std::vector<std::byte> bias,
                    std::int64_t flushed_groups)
      : layer_(std::move(layer)), bias_(std::move(bias)), flushed_groups_(flushed_groups) {}

  std::vector<std::span<const std::byte>> tensor_bytes() const override {
    auto bytes = pack_quantized_bytes(layer_);
    if (!bias_.empty()) bytes.emplace_back(bias_);
    return bytes;
  }
  kernels::ElementType value_type() const override { return element_type(layer_.spec.dtype); }
  void decode_outputs(std::int64_t first, std::int64_t count,
                      std::span<std::byte> out) const override {
    std::vector<float> values(static_cast<std::size_t>(count * layer_.spec.inputs));
    compressed_tensors::decode_outputs(layer_, first, count, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      formats::set_float_element(out.data(), layer_.spec.dtype, static_cast<std::int64_t>(i),
                                 values[i]);
    }
  }
  std::int64_t stored_bits() const override { return pack_quantized_bits(layer_.spec); }
  std::int64_t flushed_groups() const override { return flushed_groups_; }

 private:
  PackQuantizedLayer layer_;
  std::vector<std::byte> bias_;
  std::int64_t flushed_groups_;
};

// Codes [K, N] in the sweep's order of rows as [N, K] in the model's order of inputs.
std::vector<std::uint8_t> codes_by_output(const weights::QuantizedWeight& weight,
                                          const PackQuantizedSpec& spec) {
  std::vector<std::uint8_t> codes(weight.matrix.codes.size());
  for (std::int64_t row = 0; row < spec.inputs; ++row) {
    const std::int64_t input = weight.perm[static_cast<std::size_t>(row)];
    const std::uint8_t* from = weight.matrix.codes.data() + row * spec.outputs;
    for (std::int64_t n = 0; n < spec.outputs; ++n) {
      codes[static_cast<std::size_t>(n * spec.inputs + input)] = from[n];
    }
  }
  return codes;
}

// [G, N] as [N, G].
template <class To>
std::vector<To> by_output(const std::vector<float>& values, const PackQuantizedSpec& spec,
                          float added) {
  std::vector<To> out(values.size());
  const std::int64_t groups = spec.groups();
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t n = 0; n < spec.outputs; ++n) {
      out[static_cast<std::size_t>(n * groups + g)] =
          static_cast<To>(values[static_cast<std::size_t>(g * spec.outputs + n)] + added);
    }
  }
  return out;
}

class CompressedTensorsFormat final : public weights::WeightFormat {
 public:
  /// asymmetric: null, or the format with more options.
  explicit CompressedTensorsFormat(bool has_asymmetric, const WeightFormat* asymmetric)
      : asymmetric_(asymmetric) {
    for (const bool symmetric : {true, false}) {
      if (!symmetric && !has_asymmetric) continue;
      for (const int bits : {2, 3, 4, 5, 6, 8}) {
        for (const std::int64_t group : {128, 64, 32}) {
          schemes_.push_back({bits, group, symmetric});
        }
      }
    }
  }

  std::string_view name() const override { return "compressed-tensors"; }
  const WeightFormat* with_asymmetric() const override { return asymmetric_; }

  weights::FormatCard card() const override {
    return {
        "compressed-tensors",
        "compressed-tensors",
        {{"vLLM", "from 0.32 on; CUDA: all widths, its CPU build: 4 bits alone"},
         {"SGLang", "0.5.23: only where every layer has 4 or 8 bits"},
         {"transformers", "5.23 with compressed-tensors from 0.18 on; symmetric layers alone"}}};
  }

  std::int64_t option_count() const override { return std::ssize(schemes_); }
  std::span<const weights::HeadOption> head_options() const override { return {}; }
  std::string option_text(std::int64_t option) const override {
    return pack_quantized_name(scheme(option));
  }
  records::QParams option_recipe(std::int64_t option) const override {
    constexpr int kScaleBits = 16;
    return {static_cast<int>(scheme(option).group), {scheme(option).bits}, {1.0}, kScaleBits};
  }
  std::optional<kernels::WeightRecipe> recipe(std::int64_t option,
                                              const LayerShape& layer) const override {
    const PackQuantizedScheme& chosen = scheme(option);
    if (!pack_quantized_fault(chosen, use_of(layer)).empty()) return std::nullopt;
    kernels::AffineRecipe recipe;
    recipe.bits = chosen.bits;
    recipe.group_size = chosen.group;
    recipe.symmetric = chosen.symmetric;
    recipe.value_type = element_type(stored_dtype(layer.dtype));
    return recipe;
  }

  std::string layer_fault(const LayerShape& layer) const override {
    std::string fault;
    for (const PackQuantizedScheme& each : schemes_) {
      fault = pack_quantized_fault(each, use_of(layer));
      if (fault.empty()) return "";
    }
    return fault;  // of the smallest groups
  }
  std::string family_fault(std::string_view) const override { return ""; }
  // vLLM fuses the projections of one input (q, k, v; gate, up) and takes the first one's scheme
  // for all of them.
  std::vector<std::vector<std::int64_t>> ties(
      std::span<const std::vector<std::int64_t>> sets) const override {
    std::vector<std::vector<std::int64_t>> tied;
    std::copy_if(sets.begin(), sets.end(), std::back_inserter(tied),
                 [](const auto& set) { return set.size() > 1; });
    return tied;
  }

  std::vector<formats::TensorSpec> tensors(std::int64_t option,
                                           const LayerShape& layer) const override {
    auto tensors = pack_quantized_tensors(spec_of(layer, scheme(option)));
    if (layer.has_bias) tensors.push_back(bias_tensor(layer));
    return tensors;
  }
  std::int64_t counted_bits(std::int64_t option, const LayerShape& layer) const override {
    return stored_bits(option, layer);
  }
  std::int64_t stored_bits(std::int64_t option, const LayerShape& layer) const override {
    return pack_quantized_bits(spec_of(layer, scheme(option)));
  }
  std::unique_ptr<weights::StoredLayer> pack(
      std::int64_t option, const LayerShape& layer,
      const weights::QuantizedWeight& weight) const override {
    const PackQuantizedSpec spec = spec_of(layer, scheme(option));
    const kernels::AffineScales& affine = weight.matrix.affine;
    if (std::ssize(affine.scales) != spec.groups() * spec.outputs) {
      fail(ExitCode::internal, "{}: quantized with other groups than those of option {}", layer.key,
           option_text(option));
    }
    const auto codes = codes_by_output(weight, spec);
    const auto scales = by_output<float>(affine.scales, spec, 0.0f);
    std::vector<std::uint8_t> zeros;
    if (!spec.scheme.symmetric) {
      zeros = by_output<std::uint8_t>(affine.offsets, spec,
                                      static_cast<float>(1 << (spec.scheme.bits - 1)));
    }
    return std::make_unique<StoredPackedLayer>(
        pack_quantized_layer(spec, {codes, scales, zeros}),
        std::vector<std::byte>(weight.bias.begin(), weight.bias.end()), affine.flushed_groups);
  }
  Dtype plain_dtype(Dtype model) const override { return stored_dtype(model); }
  std::string config_text(std::string_view source, const std::string& file,
                          const weights::QuantizationEntry& entry) const override {
    CompressedTensorsEntry found;
    Dtype dtype = Dtype::f16;
    for (const weights::LayerChoice& each : entry.layers) {
      dtype = stored_dtype(each.layer.dtype);
      if (each.option) {
        found.targets.push_back({each.layer.key, scheme(*each.option)});
      } else {
        found.ignore.push_back(each.layer.key);
      }
    }
    return quantized_config(source, file, found, dtype);
  }

  bool holds(const formats::SafetensorsFolder& folder, const std::string& key) const override {
    return is_pack_quantized_layer(folder, key);
  }
  std::vector<std::string> tensor_names(const std::string& key) const override {
    std::vector<std::string> names;
    for (const std::string_view suffix : kSuffixes) names.push_back(key + std::string(suffix));
    return names;
  }
  weights::StoredSummary summarize(const formats::SafetensorsFolder& folder,
                                   const LayerShape& layer) const override {
    const PackQuantizedSpec spec =
        stored_pack_quantized_spec(folder, layer.key, layer.outputs, layer.inputs);
    return {pack_quantized_bits(spec), pack_quantized_name(spec.scheme)};
  }
  std::unique_ptr<weights::StoredLayer> read(const formats::SafetensorsFolder& folder,
                                             const LayerShape& layer) const override {
    PackQuantizedLayer stored = read_pack_quantized_layer(
        folder, stored_pack_quantized_spec(folder, layer.key, layer.outputs, layer.inputs));
    std::vector<std::byte> bias;
    if (layer.has_bias) {
      const formats::TensorInfo& tensor = folder.at(layer.key + ".bias");
      bias.resize(static_cast<std::size_t>(tensor.bytes()));
      folder.read(tensor.name, 0, bias);
    }
    return std::make_unique<StoredPackedLayer>(std::move(stored), std::move(bias), 0);
  }

 private:
  const PackQuantizedScheme& scheme(std::int64_t option) const {
    return schemes_[static_cast<std::size_t>(option)];
  }

  std::vector<PackQuantizedScheme> schemes_;
  const WeightFormat* asymmetric_;
};

}  // namespace

const weights::WeightFormat& compressed_tensors_format() {
  static const CompressedTensorsFormat both(true, nullptr);
  static const CompressedTensorsFormat symmetric(false, &both);
  return symmetric;
}

}  // namespace shardquant::compressed_tensors
