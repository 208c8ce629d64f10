#include "pipeline/stages/given_files.hpp"

#include <algorithm>
#include <variant>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/records/measurement_file_2024.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/records/plan_file.hpp"
#include "pipeline/stages/allocate_bits.hpp"

namespace shardquant::stages {

namespace {

void require_known_option(const waves::RunContext& context, const std::string& file,
                          const std::string& layer, const std::string& desc) {
  const bool known =
      std::any_of(context.options.begin(), context.options.end(),
                  [&](const exl2::QuantOption& option) { return exl2::describe(option) == desc; });
  if (known) return;
  fail(ExitCode::bad_data, "{}: layer {}: the option {} is none of those of {}", file, layer, desc,
       context.config.measure.options);
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
    const std::int64_t weights = context.model.layer(static_cast<std::int64_t>(i)).parameters();
    if (layer.numel != weights) {
      fail(ExitCode::bad_data, "{}: layer {} has {} weights, in the model {}", file, layer.key,
           layer.numel, weights);
    }
    for (const records::MeasuredOption& option : layer.options) {
      require_known_option(context, file, layer.key, option.desc);
    }
  }
  return given;
}

std::string read_given_plan(const waves::RunContext& context) {
  const std::string file = context.config.allocate.plan.string();
  std::string text = formats::read_text_file(file, records::kMaxMeasurementBytes);
  const records::Plan plan = records::parse_plan(text, file);
  require_same_layers(context, file, plan.layers);
  for (const records::PlannedLayer& layer : plan.layers) {
    require_known_option(context, file, layer.key, layer.desc);
  }
  return text;
}

void check_given_files(const waves::RunContext& context) {
  comm::on_root(context.comm, [&] {
    if (!context.config.measure.file.empty()) read_given_measurement(context);
    if (!context.config.allocate.plan.empty()) read_given_plan(context);
    allocation_request(context.config);
  });
}

}  // namespace shardquant::stages
