// A weight format of its own: 8 bits for every weight, one scale for an output. It is this file and
// a row of weight_formats.cpp.
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/api/half_types.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/weight_format.hpp"

namespace shardquant::uniform8 {

namespace {

using formats::Dtype;
using weights::LayerShape;

constexpr int kBits = 8;
constexpr float kLeast = -128.0f;

class StoredUniform8 final : public weights::StoredLayer {
 public:
  LayerShape shape;
  std::vector<std::uint8_t> codes;    // [N, K] q + 128
  std::vector<std::uint16_t> scales;  // [N] fp16
  std::vector<std::byte> bias;

  std::vector<std::span<const std::byte>> tensor_bytes() const override {
    std::vector<std::span<const std::byte>> bytes = {std::as_bytes(std::span(codes)),
                                                     std::as_bytes(std::span(scales))};
    if (shape.has_bias) bytes.emplace_back(bias);
    return bytes;
  }
  kernels::ElementType value_type() const override { return kernels::ElementType::f16; }
  void decode_outputs(std::int64_t first, std::int64_t count,
                      std::span<std::byte> out) const override {
    auto* values = reinterpret_cast<std::uint16_t*>(out.data());
    for (std::int64_t n = first; n < first + count; ++n) {
      const float scale = kernels::to_float(kernels::Half{scales[static_cast<std::size_t>(n)]});
      for (std::int64_t k = 0; k < shape.inputs; ++k) {
        const float q = codes[static_cast<std::size_t>(n * shape.inputs + k)] + kLeast;
        *values++ = kernels::to_half(q * scale).bits;
      }
    }
  }
  std::int64_t stored_bits() const override {
    return kBits * shape.parameters() + 16 * shape.outputs;
  }
  std::int64_t flushed_groups() const override { return 0; }
};

class Uniform8Format final : public weights::WeightFormat {
 public:
  std::string_view name() const override { return "uniform8"; }
  weights::FormatCard card() const override { return {"Uniform 8", "uniform8", {}}; }

  std::int64_t option_count() const override { return 1; }
  std::span<const weights::HeadOption> head_options() const override { return heads_; }
  std::string option_text(std::int64_t) const override { return "8 bits"; }
  records::QParams option_recipe(std::int64_t) const override { return {1, {kBits}, {1.0}, 4}; }
  std::optional<kernels::WeightRecipe> recipe(std::int64_t, const LayerShape&) const override {
    return kernels::AffineRecipe{kBits, 0, true, kernels::ElementType::f16};
  }

  std::string layer_fault(const LayerShape&) const override { return ""; }
  std::string family_fault(std::string_view) const override { return ""; }

  std::vector<formats::TensorSpec> tensors(std::int64_t, const LayerShape& layer) const override {
    std::vector<formats::TensorSpec> tensors = {
        {layer.key + ".codes", Dtype::u8, {layer.outputs, layer.inputs}},
        {layer.key + ".scale", Dtype::f16, {layer.outputs}}};
    if (layer.has_bias) tensors.push_back({layer.key + ".bias", Dtype::f16, {layer.outputs}});
    return tensors;
  }
  std::int64_t counted_bits(std::int64_t option, const LayerShape& layer) const override {
    return stored_bits(option, layer);
  }
  std::int64_t stored_bits(std::int64_t, const LayerShape& layer) const override {
    return kBits * layer.parameters() + 16 * layer.outputs;
  }
  std::unique_ptr<weights::StoredLayer> pack(
      std::int64_t, const LayerShape& layer,
      const weights::QuantizedWeight& weight) const override {
    auto stored = std::make_unique<StoredUniform8>();
    stored->shape = layer;
    stored->codes.resize(weight.matrix.codes.size());
    for (std::int64_t row = 0; row < layer.inputs; ++row) {
      const std::int64_t k = weight.perm[static_cast<std::size_t>(row)];
      for (std::int64_t n = 0; n < layer.outputs; ++n) {
        stored->codes[static_cast<std::size_t>(n * layer.inputs + k)] =
            weight.matrix.codes[static_cast<std::size_t>(row * layer.outputs + n)];
      }
    }
    for (const float scale : weight.matrix.affine.scales) {
      stored->scales.push_back(kernels::to_half(scale).bits);
    }
    stored->bias.assign(weight.bias.begin(), weight.bias.end());
    return stored;
  }
  Dtype plain_dtype(Dtype) const override { return Dtype::f16; }
  std::string config_text(std::string_view source, const std::string&,
                          const weights::QuantizationEntry& entry) const override {
    auto config = nlohmann::ordered_json::parse(source);
    config["quantization_config"] = {{"quant_method", "uniform8"}, {"bits", entry.bits}};
    return config.dump(2) + '\n';
  }

  bool holds(const formats::SafetensorsFolder& folder, const std::string& key) const override {
    return folder.find(key + ".codes") != nullptr;
  }
  std::vector<std::string> tensor_names(const std::string& key) const override {
    return {key + ".codes", key + ".scale", key + ".bias"};
  }
  weights::StoredSummary summarize(const formats::SafetensorsFolder&,
                                   const LayerShape& layer) const override {
    return {stored_bits(0, layer), "8b"};
  }
  std::unique_ptr<weights::StoredLayer> read(const formats::SafetensorsFolder& folder,
                                             const LayerShape& layer) const override {
    auto stored = std::make_unique<StoredUniform8>();
    stored->shape = layer;
    stored->codes.resize(static_cast<std::size_t>(layer.parameters()));
    stored->scales.resize(static_cast<std::size_t>(layer.outputs));
    folder.read(layer.key + ".codes", 0, std::as_writable_bytes(std::span(stored->codes)));
    folder.read(layer.key + ".scale", 0, std::as_writable_bytes(std::span(stored->scales)));
    if (layer.has_bias) {
      stored->bias.resize(static_cast<std::size_t>(2 * layer.outputs));
      folder.read(layer.key + ".bias", 0, stored->bias);
    }
    return stored;
  }

 private:
  std::vector<weights::HeadOption> heads_ = {{kBits, 0}};
};

}  // namespace

const weights::WeightFormat& uniform8_format() {
  static const Uniform8Format format;
  return format;
}

}  // namespace shardquant::uniform8
