#include <cstdio>
#include <filesystem>
#include <string>

#include "pipeline/commands/commands.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/model/tied_head.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "pipeline/records/plan_file.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::commands {

namespace {

void print_row(const char* name, const std::string& value) {
  std::printf("%-22s %s\n", name, report::printable(value).c_str());
}

void inspect_model(const std::filesystem::path& path) {
  const model::SourceModel model(path);
  const model::ModelDescription& description = model.description;
  const weights::WeightFormat* format = description.stored_format;
  print_row("architecture", std::string(description.family->architecture));
  print_row("storage", format ? format->card().title : "plain");
  print_row("blocks", std::to_string(description.layers));
  print_row("hidden, ffn",
            fmt::format("{}, {}", description.hidden_size, description.intermediate_size));
  print_row("heads, kv heads, dim", fmt::format("{}, {}, {}", description.heads,
                                                description.kv_heads, description.head_dim));
  print_row("vocabulary", std::to_string(description.vocab_size));
  print_row("block parameters", std::to_string(model.layout.block_parameters()));
  print_row("files", std::to_string(model.folder.files().size()));
  print_row("tensor bytes", report::bytes_text(model.folder.tensor_bytes()));
  for (const std::string& warning : model.folder.warnings()) print_row("warning", warning);
  const std::string tied = model::tied_head_warning(model);
  if (!tied.empty()) print_row("warning", tied);
  if (format == nullptr) return;
  std::printf("\n%-44s %8s  %s\n", "layer", "bpw", "rows by bits");
  for (std::int64_t i = 0; i < std::ssize(model.layout.linear_layers); ++i) {
    if (!model.tensors.is_quantized(i)) continue;
    const model::LinearLayer& layer = model.layer(i);
    const weights::StoredSummary stored = format->summarize(model.folder, model::shape_of(layer));
    std::printf("%-44s %8.4f  %s\n", layer.key.c_str(),
                static_cast<double>(stored.bits) / static_cast<double>(layer.parameters()),
                stored.text.c_str());
  }
}

void inspect_measurement(const std::filesystem::path& path) {
  const records::Measurement measurement = records::read_measurement_2023(path);
  print_row("measurement", "2023 schema");
  print_row("layers", std::to_string(measurement.layers.size()));
  print_row("base perplexity", fmt::format("{:.6g}", measurement.base_perplexity));
  std::printf("\n%-44s %12s %8s %10s %10s\n", "layer", "weights", "options", "least err",
              "most err");
  for (const records::LayerMeasurement& layer : measurement.layers) {
    double least = layer.options.front().err;
    double most = least;
    for (const records::MeasuredOption& option : layer.options) {
      least = std::min(least, option.err);
      most = std::max(most, option.err);
    }
    std::printf("%-44s %12lld %8zu %10.6f %10.6f\n", report::printable(layer.key).c_str(),
                static_cast<long long>(layer.numel), layer.options.size(), least, most);
  }
}

void inspect_plan(const std::filesystem::path& path) {
  const records::Plan plan = records::read_plan(path);
  print_row("plan, objective",
            fmt::format("{} = {:.9g} ({})", plan.objective, plan.objective_value, plan.status));
  if (plan.lower_bound) print_row("lower bound", fmt::format("{:.9g}", *plan.lower_bound));
  print_row("bits per weight", fmt::format("{:.6f}", plan.bpw()));
  print_row("bits of budget", fmt::format("{} of {}", plan.total_bits, plan.budget_bits));
  std::printf("\n%-44s %-32s %10s\n", "layer", "option", "err");
  for (const records::PlannedLayer& layer : plan.layers) {
    std::printf("%-44s %-32s %10.6f\n", report::printable(layer.key).c_str(),
                report::printable(layer.desc).c_str(), layer.err);
  }
}

}  // namespace

void inspect(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    fail(ExitCode::no_input, "{}: no such file or folder", path);
  }
  if (std::filesystem::is_directory(path)) {
    inspect_model(path);
    return;
  }
  const auto json = formats::JsonText::read(path);
  if (json.root().is_object() && json.root().find("measurement")) {
    inspect_measurement(path);
  } else if (json.root().is_object() && json.root().find("choices")) {
    inspect_plan(path);
  } else {
    fail(ExitCode::bad_data, "{}: neither a measurement (2023 schema) nor a plan", path);
  }
}

}  // namespace shardquant::commands
