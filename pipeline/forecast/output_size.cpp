#include "pipeline/forecast/output_size.hpp"

#include <algorithm>
#include <vector>

#include "pipeline/allocation/objective_names.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/require_quantizable.hpp"
#include "pipeline/output/describe_model.hpp"
#include "pipeline/output/output_checksums.hpp"
#include "pipeline/output/reader_fields.hpp"

namespace shardquant::forecast {

namespace {

// The identity of an option that a file gives by its text.
std::int64_t option_of(const weights::WeightFormat& format, const weights::LayerShape& layer,
                       const std::string& text) {
  const auto option = weights::option_of_text(format, text);
  if (!option) {
    fail(ExitCode::bad_data, "{}: option {} is none of the format {}, so its size is not known",
         layer.key, text, format.name());
  }
  if (!format.recipe(*option, layer)) {
    fail(ExitCode::bad_data, "{}: the measured option {} does not exist for {} inputs", layer.key,
         text, layer.inputs);
  }
  return *option;
}

std::int64_t layer_bytes(const weights::WeightFormat& format, std::int64_t option,
                         const weights::LayerShape& layer) {
  std::int64_t bytes = 0;
  for (const auto& tensor : format.tensors(option, layer)) bytes += tensor.bytes();
  return bytes;
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

OutputSize::OutputSize(const std::filesystem::path& source, const weights::WeightFormat& format,
                       int head_bits, std::int64_t shard_mib, formats::LinkPolicy links)
    : source_(source.string()), format_(format), head_bits_(head_bits), shard_mib_(shard_mib) {
  weights::head_option(format, head_bits);
  const formats::ModelDirectory directory(source, links);
  description_ = model::read_model_description(directory);
  layout_ = model::lay_out_model(description_);
  model::require_quantizable(description_, layout_, format);
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

output::OutputLayout OutputSize::layout_with(const std::vector<std::int64_t>& options) const {
  return output::lay_out_output(
      layout_, format_,
      output::with_head(layout_, options, weights::head_option(format_, head_bits_)), shard_mib_);
}

std::int64_t OutputSize::config_bytes(double bpw, const output::LayerOptions& options) const {
  const weights::QuantizationEntry entry{bpw,
                                         head_bits_,
                                         1'000'000,
                                         1'000'000,
                                         "calibration.safetensors",
                                         output::layer_choices(layout_, options),
                                         output::reader_fields(format_, description_)};
  return std::ssize(format_.config_text(description_.config_text, description_.config_file, entry));
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
  report::ModelCard card = output::card_of_model(source_, description_, layout_, format_);
  card.bpw = card.stored_bpw = card.sum_err = card.max_err = 10.0;
  card.head_bits = head_bits_;
  card.folder_bpw = 10.0;
  card.weight_bytes = card.plain_bytes = kManyDigits;
  card.objective = "kl";  // has most to say
  card.objective_value = 10.0;
  card.calibration = "calibration.safetensors";
  card.calibration_rows = card.calibration_length = kManyDigits;
  card.evaluation = {100.0, 100.0, 0.1, 1.0, 0.9, 100, kManyDigits, std::string(32, '0')};
  return static_cast<std::int64_t>(report::model_card_text(card).size());
}

allocation::FolderSize OutputSize::by_layer(const records::Measurement& measurement) const {
  require_same_model(measurement);
  allocation::FolderSize size;
  std::vector<std::int64_t> largest;
  std::int64_t largest_bytes = 0;
  for (std::size_t l = 0; l < measurement.layers.size(); ++l) {
    const weights::LayerShape shape = model::shape_of(layout_.linear_layers[l]);
    std::vector<std::int64_t>& bytes = size.layer_bytes.emplace_back();
    for (const records::MeasuredOption& option : measurement.layers[l].options) {
      bytes.push_back(layer_bytes(format_, option_of(format_, shape, option.desc), shape));
    }
    const auto most = std::max_element(bytes.begin(), bytes.end());
    largest_bytes += *most;
    largest.push_back(
        option_of(format_, shape, measurement.layers[l].options[most - bytes.begin()].desc));
  }
  // The largest layers need the most shards and the most digits for offsets, hence the longest
  // headers and index; fewer shards may still pad each header by up to 7 bytes more.
  const output::OutputLayout layout = layout_with(largest);
  const auto index_bytes = static_cast<std::int64_t>(layout.plan.index_json.size());
  constexpr std::int64_t kPadding = 8;
  constexpr std::int64_t kCardSizes = 4096;  // the table that a sweep adds to the card
  size.fixed_bytes = layout.plan.file_bytes() - largest_bytes + index_bytes +
                     kPadding * std::ssize(layout.plan.shards) + copied_bytes_ + kCardSizes +
                     checksums_bytes(layout) + config_bytes(1.2345678901234567, layout.options) +
                     card_bytes() + measurement_bytes(measurement) +
                     longest_plan_bytes(measurement);
  return size;
}

std::int64_t OutputSize::bytes(const records::Measurement& measurement,
                               const records::Plan& plan) const {
  require_same_model(measurement);
  std::vector<std::int64_t> options;
  for (std::size_t l = 0; l < plan.layers.size(); ++l) {
    options.push_back(
        option_of(format_, model::shape_of(layout_.linear_layers[l]), plan.layers[l].desc));
  }
  const output::OutputLayout layout = layout_with(options);
  return layout.plan.file_bytes() + static_cast<std::int64_t>(layout.plan.index_json.size()) +
         copied_bytes_ + checksums_bytes(layout) + config_bytes(plan.bpw(), layout.options) +
         card_bytes() + measurement_bytes(measurement) +
         static_cast<std::int64_t>(records::plan_text(plan).size());
}

}  // namespace shardquant::forecast
