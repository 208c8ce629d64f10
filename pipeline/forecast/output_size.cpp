#include "pipeline/forecast/output_size.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "pipeline/failure.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"
#include "pipeline/output/describe_model.hpp"
#include "pipeline/output/output_checksums.hpp"
#include "pipeline/output/output_layout.hpp"

namespace shardquant::forecast {

namespace {

constexpr int kHeadInHalf = 16;

exl2::QuantOption option_of(const records::QParams& recipe) {
  return {recipe.group_size, recipe.bits, recipe.bits_prop, recipe.scale_bits};
}

std::int64_t layer_bytes(const model::LinearLayer& layer, const exl2::QuantOption& option) {
  const auto groups = exl2::cut_into_groups(option, layer.inputs);
  if (groups.empty()) {
    fail(ExitCode::bad_data, "{}: the measured option {} does not exist for {} inputs", layer.key,
         exl2::describe(option), layer.inputs);
  }
  std::int64_t bytes = 0;
  for (const auto& tensor :
       exl2::exl2_tensor_specs(layer.key, layer.inputs, layer.outputs, groups, layer.has_bias)) {
    bytes += tensor.bytes();
  }
  return bytes;
}

// The layout of the output with these options for the layers of the blocks.
output::OutputLayout layout_with(const model::ModelLayout& layout,
                                 const std::vector<exl2::QuantOption>& options, int head_bits,
                                 std::int64_t shard_mib) {
  const auto head = exl2::head_option(head_bits);
  std::vector<const exl2::QuantOption*> choices;
  for (const exl2::QuantOption& option : options) choices.push_back(&option);
  choices.push_back(head ? &*head : nullptr);
  return output::lay_out_output(layout, choices, shard_mib);
}

// A plan that is no shorter as text than one with other choices.
std::int64_t longest_plan_bytes(const records::Measurement& measurement) {
  records::Plan plan;
  constexpr std::int64_t kManyDigits = std::int64_t{1} << 60;
  constexpr double kLongNumber = -1.2345678901234567e-100;
  for (const records::LayerMeasurement& layer : measurement.layers) {
    const auto longest = std::max_element(
        layer.options.begin(), layer.options.end(),
        [](const auto& a, const auto& b) { return a.desc.size() < b.desc.size(); });
    plan.layers.push_back({layer.key, longest->desc, kManyDigits, kLongNumber});
    for (const auto& option : layer.options) plan.recipes[option.desc] = option.qparams;
  }
  plan.objective_value = plan.sum_err = plan.max_err = kLongNumber;
  plan.lower_bound = plan.gap = kLongNumber;
  plan.numel = plan.budget_bits = plan.total_bits = kManyDigits;
  plan.stored_bits = plan.folder_bytes = plan.folder_budget_bytes = kManyDigits;
  constexpr std::int64_t kWords = 4096;  // names, constraints, warnings
  return static_cast<std::int64_t>(records::plan_text(plan).size()) + kWords;
}

std::int64_t measurement_bytes(const records::Measurement& measurement) {
  return static_cast<std::int64_t>(records::measurement_2023_text(measurement).size());
}

}  // namespace

OutputSize::OutputSize(const std::filesystem::path& source, int head_bits, std::int64_t shard_mib,
                       formats::LinkPolicy links)
    : source_(source.string()), head_bits_(head_bits), shard_mib_(shard_mib) {
  if (head_bits != kHeadInHalf && !exl2::head_option(head_bits)) {
    fail(ExitCode::config, "head bits: {} is none of 2, 3, 4, 5, 6, 8, 16", head_bits);
  }
  const formats::ModelDirectory directory(source, links);
  description_ = model::read_model_description(directory);
  layout_ = model::lay_out_model(description_);
  model::require_quantizable(description_, layout_);
  for (const std::string& name : formats::companion_files(directory)) {
    copied_bytes_ += directory.open(name).size();
    copied_names_.push_back(name);
  }
}

void OutputSize::require_same_model(const records::Measurement& measurement) const {
  const auto layers = static_cast<std::size_t>(layout_.block_layers());
  if (measurement.layers.size() != layers) {
    fail(ExitCode::bad_data, "{} has {} linear layers in its blocks, the measurement {}", source_,
         layers, measurement.layers.size());
  }
  for (std::size_t l = 0; l < layers; ++l) {
    const model::LinearLayer& layer = layout_.linear_layers[l];
    const records::LayerMeasurement& measured = measurement.layers[l];
    if (layer.key != measured.key || layer.parameters() != measured.numel) {
      fail(ExitCode::bad_data, "{} has {} of {} weights where the measurement has {} of {}",
           source_, layer.key, layer.parameters(), measured.key, measured.numel);
    }
  }
}

std::int64_t OutputSize::config_bytes(double bpw) const {
  const exl2::Exl2ConfigEntry entry{bpw, head_bits_, 1'000'000, 1'000'000,
                                    "calibration.safetensors"};
  return static_cast<std::int64_t>(
      exl2::rewrite_config(description_.config_text, description_.config_file, entry).size());
}

std::int64_t OutputSize::checksums_bytes(const output::OutputLayout& layout) const {
  std::vector<std::string> names = copied_names_;
  for (const formats::OutputShard& shard : layout.plan.shards) names.push_back(shard.file_name);
  for (const char* name : {"measurement.json", "plan.json", "config.json"})
    names.emplace_back(name);
  names.emplace_back(formats::kIndexFileName);
  return output::checksums_bytes(names);
}

std::int64_t OutputSize::card_bytes() const {
  constexpr std::int64_t kManyDigits = 999'999;
  report::ModelCard card = output::card_of_model(source_, description_, layout_);
  card.bpw = card.stored_bpw = card.sum_err = card.max_err = 10.0;
  card.head_bits = head_bits_;
  card.folder_bpw = 10.0;
  card.weight_bytes = card.plain_bytes = kManyDigits;
  card.objective = "exl2-2023";
  card.calibration = "calibration.safetensors";
  card.calibration_rows = card.calibration_length = kManyDigits;
  card.evaluation = {100.0, 100.0, 0.1, 1.0, 0.9, 100, kManyDigits, std::string(32, '0')};
  return static_cast<std::int64_t>(report::model_card_text(card).size());
}

allocation::FolderSize OutputSize::by_layer(const records::Measurement& measurement) const {
  require_same_model(measurement);
  allocation::FolderSize size;
  std::vector<exl2::QuantOption> largest;
  std::int64_t largest_bytes = 0;
  for (std::size_t l = 0; l < measurement.layers.size(); ++l) {
    std::vector<std::int64_t>& bytes = size.layer_bytes.emplace_back();
    for (const records::MeasuredOption& option : measurement.layers[l].options) {
      bytes.push_back(layer_bytes(layout_.linear_layers[l], option_of(option.qparams)));
    }
    const auto most = std::max_element(bytes.begin(), bytes.end());
    largest_bytes += *most;
    largest.push_back(option_of(measurement.layers[l].options[most - bytes.begin()].qparams));
  }
  // The largest layers need the most shards and the most digits for offsets, hence the longest
  // headers and index; fewer shards may still pad each header by up to 7 bytes more.
  const output::OutputLayout layout = layout_with(layout_, largest, head_bits_, shard_mib_);
  const auto index_bytes = static_cast<std::int64_t>(layout.plan.index_json.size());
  constexpr std::int64_t kPadding = 8;
  constexpr std::int64_t kCardSizes = 4096;  // the table that a sweep adds to the card
  size.fixed_bytes = layout.plan.file_bytes() - largest_bytes + index_bytes +
                     kPadding * std::ssize(layout.plan.shards) + copied_bytes_ + kCardSizes +
                     checksums_bytes(layout) + config_bytes(1.2345678901234567) + card_bytes() +
                     measurement_bytes(measurement) + longest_plan_bytes(measurement);
  return size;
}

std::int64_t OutputSize::bytes(const records::Measurement& measurement,
                               const records::Plan& plan) const {
  require_same_model(measurement);
  std::vector<exl2::QuantOption> options;
  for (const records::PlannedLayer& layer : plan.layers) {
    options.push_back(option_of(plan.recipes.at(layer.desc)));
  }
  const output::OutputLayout layout = layout_with(layout_, options, head_bits_, shard_mib_);
  return layout.plan.file_bytes() + static_cast<std::int64_t>(layout.plan.index_json.size()) +
         copied_bytes_ + checksums_bytes(layout) + config_bytes(plan.bpw()) + card_bytes() +
         measurement_bytes(measurement) +
         static_cast<std::int64_t>(records::plan_text(plan).size());
}

}  // namespace shardquant::forecast
