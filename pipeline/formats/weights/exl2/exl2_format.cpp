#include "pipeline/formats/weights/exl2/exl2_format.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"
#include "pipeline/formats/weights/exl2/exl2_reader.hpp"
#include "pipeline/formats/weights/exl2/exl2_rules.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"

namespace shardquant::exl2 {

namespace {

using kernels::RowGroup;
using weights::LayerShape;

constexpr std::array<std::string_view, 7> kSuffixes = {
    ".q_weight", ".q_scale", ".q_scale_max", ".q_groups", ".q_invperm", ".q_perm", ".bias"};
// What ExLlamaV2 0.3.2 loads (exllamav2/architecture.py), of what this program may come to know.
constexpr std::array<std::string_view, 7> kArchitectures = {
    "LlamaForCausalLM", "MistralForCausalLM",  "MixtralForCausalLM", "Qwen2ForCausalLM",
    "Qwen3ForCausalLM", "Qwen3MoeForCausalLM", "Gemma3ForCausalLM"};

std::int64_t measured_options() {
  return std::ssize(exl2_2023_options());
}

const QuantOption& option_at(std::int64_t option) {
  if (option < measured_options()) return exl2_2023_options()[static_cast<std::size_t>(option)];
  return head_recipes()[static_cast<std::size_t>(option - measured_options())].option;
}

std::vector<RowGroup> groups_of(std::int64_t option, std::int64_t inputs) {
  return option < measured_options() ? cut_into_groups(option_at(option), inputs)
                                     : cut_head_into_groups(option_at(option), inputs);
}

// Those of an option that is said to exist.
std::vector<RowGroup> existing_groups(std::int64_t option, const LayerShape& layer) {
  std::vector<RowGroup> groups = groups_of(option, layer.inputs);
  if (groups.empty()) {
    fail(ExitCode::internal, "{}: option {} does not exist for {} inputs", layer.key,
         describe(option_at(option)), layer.inputs);
  }
  require_storable(layer.key, layer.inputs, groups);
  return groups;
}

class StoredExl2Layer final : public weights::StoredLayer {
 public:
  explicit StoredExl2Layer(Exl2Layer layer) : layer_(std::move(layer)) {}

  std::vector<std::span<const std::byte>> tensor_bytes() const override {
    return exl2_tensor_bytes(layer_);
  }
  kernels::ElementType value_type() const override { return kernels::ElementType::f16; }
  void decode_outputs(std::int64_t first, std::int64_t count,
                      std::span<std::byte> out) const override {
    exl2::decode_outputs(layer_, first, count,
                         {reinterpret_cast<std::uint16_t*>(out.data()),
                          static_cast<std::size_t>(count * layer_.inputs)});
  }
  std::int64_t stored_bits() const override {
    return exl2::stored_bits(layer_.groups, layer_.padded_outputs());
  }
  std::int64_t flushed_groups() const override { return count_flushed_groups(layer_); }

 private:
  Exl2Layer layer_;
};

class Exl2Format final : public weights::WeightFormat {
 public:
  Exl2Format() {
    for (const HeadRecipe& head : head_recipes()) {
      heads_.push_back({head.bits, measured_options() + std::ssize(heads_)});
    }
  }

  std::string_view name() const override { return "exl2"; }

  weights::FormatCard card() const override {
    return {"EXL2",
            "exl2",
            {{"ExLlamaV2", fmt::format("written by the rules of {}", kExl2Version)},
             {"TabbyAPI, text-generation-webui, ExUI", "those that come with such an ExLlamaV2"}}};
  }

  std::int64_t option_count() const override { return measured_options(); }
  std::span<const weights::HeadOption> head_options() const override { return heads_; }
  int default_head_bits() const override { return 6; }
  std::string option_text(std::int64_t option) const override {
    return describe(option_at(option));
  }
  records::QParams option_recipe(std::int64_t option) const override {
    const QuantOption& recipe = option_at(option);
    return {recipe.group_size, recipe.bits, recipe.proportions, recipe.scale_bits};
  }
  std::optional<kernels::WeightRecipe> recipe(std::int64_t option,
                                              const LayerShape& layer) const override {
    std::vector<RowGroup> groups = groups_of(option, layer.inputs);
    if (groups.empty()) return std::nullopt;
    return groups;
  }

  std::string layer_fault(const LayerShape& layer) const override {
    if (layer.inputs % 32 == 0 && layer.inputs <= kExl2MaxInputs) return "";
    return fmt::format("has {} inputs; EXL2 stores only multiples of 32 up to {}", layer.inputs,
                       kExl2MaxInputs);
  }
  std::string family_fault(std::string_view architecture) const override {
    if (std::find(kArchitectures.begin(), kArchitectures.end(), architecture) !=
        kArchitectures.end()) {
      return "";
    }
    return fmt::format("ExLlamaV2 {}, the reader of EXL2, does not know {}", kExl2Version,
                       architecture);
  }
  // ExLlamaV2 moves the permutation of a down projection into gate and up, but not into their
  // biases (exllamav2/mlp.py, the post-load step of 0.3.2).
  bool keeps_input_order(const LayerShape& layer) const override { return layer.follows_biased; }

  std::vector<formats::TensorSpec> tensors(std::int64_t option,
                                           const LayerShape& layer) const override {
    return exl2_tensor_specs(layer.key, layer.inputs, layer.outputs, existing_groups(option, layer),
                             layer.has_bias);
  }
  std::int64_t counted_bits(std::int64_t option, const LayerShape& layer) const override {
    return measured_bits(existing_groups(option, layer), layer.outputs);
  }
  std::int64_t stored_bits(std::int64_t option, const LayerShape& layer) const override {
    return exl2::stored_bits(existing_groups(option, layer), exl2_padded_outputs(layer.outputs));
  }
  std::unique_ptr<weights::StoredLayer> pack(
      std::int64_t option, const LayerShape& layer,
      const weights::QuantizedWeight& weight) const override {
    if (weight.matrix.groups != existing_groups(option, layer)) {
      fail(ExitCode::internal, "{}: quantized with other groups than those of option {}", layer.key,
           option_text(option));
    }
    return std::make_unique<StoredExl2Layer>(pack_exl2_layer(
        layer, weight.matrix, weight.perm,
        {reinterpret_cast<const std::uint16_t*>(weight.bias.data()), weight.bias.size() / 2}));
  }
  formats::Dtype plain_dtype(formats::Dtype) const override { return formats::Dtype::f16; }
  std::string config_text(std::string_view source, const std::string& file,
                          const weights::QuantizationEntry& entry) const override {
    return rewrite_config(source, file, entry);
  }

  bool holds(const formats::SafetensorsFolder& folder, const std::string& key) const override {
    return is_exl2_layer(folder, key);
  }
  std::vector<std::string> tensor_names(const std::string& key) const override {
    std::vector<std::string> names;
    for (const std::string_view suffix : kSuffixes) names.push_back(key + std::string(suffix));
    return names;
  }
  weights::StoredSummary summarize(const formats::SafetensorsFolder& folder,
                                   const LayerShape& layer) const override {
    const auto groups = read_exl2_groups(folder, layer.key, layer.inputs);
    std::map<int, std::int64_t, std::greater<>> rows;
    for (const RowGroup& group : groups) rows[group.bits] += group.rows;
    std::string text;
    for (const auto& [bits, count] : rows) text += fmt::format("{}b:{} ", bits, count);
    return {exl2::stored_bits(groups, exl2_padded_outputs(layer.outputs)), std::move(text)};
  }
  std::unique_ptr<weights::StoredLayer> read(const formats::SafetensorsFolder& folder,
                                             const LayerShape& layer) const override {
    return std::make_unique<StoredExl2Layer>(
        read_exl2_layer(folder, layer.key, layer.inputs, layer.outputs, layer.has_bias));
  }

 private:
  std::vector<weights::HeadOption> heads_;
};

}  // namespace

const weights::WeightFormat& exl2_format() {
  static const Exl2Format format;
  return format;
}

}  // namespace shardquant::exl2
