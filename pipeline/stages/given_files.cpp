#include "pipeline/stages/given_files.hpp"

#include <variant>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/records/measurement_file_2024.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/records/plan_file.hpp"
#include "pipeline/stages/allocate_bits.hpp"

namespace shardquant::stages {

namespace {

void require_known_option(const waves::RunContext& context, const std::string& file,
                          const model::LinearLayer& layer, const std::string& desc) {
  const auto option = weights::option_of_text(context.format, desc);
  if (!option) {
    fail(ExitCode::bad_data, "{}: layer {}: the option {} is none of the format {}", file,
         layer.key, desc, context.format.name());
  }
  if (!context.format.recipe(*option, model::shape_of(layer))) {
    fail(ExitCode::bad_data, "{}: layer {}: the option {} does not exist for its {} inputs", file,
         layer.key, desc, layer.inputs);
  }
}

// The same layers in the same order.
template <class Layers>
void require_same_layers(const waves::RunContext& context, const std::string& file,
                         const Layers& layers) {
  const auto& own = context.model.layout.linear_layers;
  if (std::ssize(layers) != context.model.layout.block_layers()) {
    fail(ExitCode::bad_data, "{}: has {} layers, the model {} in its blocks", file, layers.size(),
         context.model.layout.block_layers());
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].key == own[i].key) continue;
    fail(ExitCode::bad_data, "{}: has {} where the model has {}", file, layers[i].key, own[i].key);
  }
}

// What the format wants to have one option has one.
void require_ties(const waves::RunContext& context, const std::string& file,
                  const records::Plan& plan) {
  for (const std::vector<int>& tied : format_ties(context)) {
    const records::PlannedLayer& first = plan.layers[static_cast<std::size_t>(tied.front())];
    for (const int index : tied) {
      const records::PlannedLayer& layer = plan.layers[static_cast<std::size_t>(index)];
      if (layer.desc == first.desc) continue;
      fail(ExitCode::bad_data,
           "{}: {} has {} and {} has {}; in the format {} they share one option", file, first.key,
           first.desc, layer.key, layer.desc, context.format.name());
    }
  }
}

}  // namespace

GivenMeasurement read_given_measurement(const waves::RunContext& context) {
  const std::string file = context.config.measure.file.string();
  GivenMeasurement given{formats::read_text_file(file, records::kMaxMeasurementBytes), {}};
  auto any = records::parse_measurement(given.text, file);
  if (!std::holds_alternative<records::Measurement>(any)) {
    fail(ExitCode::bad_data,
         "{}: is of the 2024 schema, which measures modules; measure.file takes the 2023 one",
         file);
  }
  given.measurement = std::get<records::Measurement>(std::move(any));
  require_same_layers(context, file, given.measurement.layers);
  for (std::size_t i = 0; i < given.measurement.layers.size(); ++i) {
    const records::LayerMeasurement& layer = given.measurement.layers[i];
    const model::LinearLayer& own = context.model.layout.linear_layers[i];
    if (layer.numel != own.parameters()) {
      fail(ExitCode::bad_data, "{}: layer {} has {} weights, in the model {}", file, layer.key,
           layer.numel, own.parameters());
    }
    for (const records::MeasuredOption& option : layer.options) {
      require_known_option(context, file, own, option.desc);
    }
  }
  return given;
}

std::string read_given_plan(const waves::RunContext& context) {
  const std::string file = context.config.allocate.plan.string();
  std::string text = formats::read_text_file(file, records::kMaxMeasurementBytes);
  const records::Plan plan = records::parse_plan(text, file);
  require_same_layers(context, file, plan.layers);
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    require_known_option(context, file, context.model.layout.linear_layers[i], plan.layers[i].desc);
  }
  require_ties(context, file, plan);
  return text;
}

void check_given_files(const waves::RunContext& context) {
  const config::RunConfig& config = context.config;
  comm::on_root(context.comm, [&] {
    bool has_sensitivities = true;
    if (!config.measure.file.empty()) {
      const std::string file = config.measure.file.string();
      const records::Measurement given = read_given_measurement(context).measurement;
      has_sensitivities = allocation::allocation_input(given, file).has_sensitivities();
    }
    if (!config.allocate.plan.empty()) {
      read_given_plan(context);
      return;
    }
    const auto request = allocation_request(config, has_sensitivities);
    if (request.objective != config.objective()) {
      context.log.line("sensitivity", fmt::format("{} has none; {} is minimized instead",
                                                  config.measure.file.string(), request.objective));
    }
  });
}

}  // namespace shardquant::stages
