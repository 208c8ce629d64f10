#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <variant>

#include "pipeline/allocation/allocation_input.hpp"
#include "pipeline/allocation/module_shapes.hpp"
#include "pipeline/checkpoint/state_file_summary.hpp"
#include "pipeline/commands/commands.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/hub_cache.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/model/tied_head.hpp"
#include "pipeline/records/measurement_file.hpp"
#include "pipeline/records/measurement_file_2024.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/records/plan_file.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::commands {

namespace {

void print_row(const char* name, const std::string& value) {
  std::printf("%-22s %s\n", name, report::printable(value).c_str());
}

void inspect_model(const InspectArguments& arguments) {
  const model::SourceModel model(arguments.path, formats::link_policy(arguments.follow_symlinks));
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

// Weights, options and the range of errors of every layer or module.
void print_layers(const allocation::AllocationInput& input) {
  std::printf("\n%-44s %12s %8s %10s %10s\n", "layer", "weights", "options", "least err",
              "most err");
  for (const allocation::AllocationLayer& layer : input.layers) {
    const auto [least, most] =
        std::minmax_element(layer.options.begin(), layer.options.end(),
                            [](const auto& a, const auto& b) { return a.err < b.err; });
    std::printf("%-44s %12s %8zu %10.6f %10.6f\n", report::printable(layer.key).c_str(),
                layer.numel > 0 ? std::to_string(layer.numel).c_str() : "-", layer.options.size(),
                least->err, most->err);
  }
}

void inspect_measurement(const std::string& path) {
  const records::AnyMeasurement measurement = records::parse_measurement(
      formats::read_text_file(path, records::kMaxMeasurementBytes), path);
  if (const auto* of_2023 = std::get_if<records::Measurement>(&measurement)) {
    print_row("measurement", "2023 schema");
    print_row("layers", std::to_string(of_2023->layers.size()));
    print_row("base perplexity", fmt::format("{:.6g}", of_2023->base_perplexity));
    print_layers(allocation::allocation_input(*of_2023, path));
    return;
  }
  const auto& of_2024 = std::get<records::Measurement2024>(measurement);
  const allocation::ModuleShapes shapes = allocation::find_module_shapes(of_2024);
  std::vector<std::int64_t> weights;
  for (const auto& shape : shapes.shapes) weights.push_back(shape ? shape->numel() : 0);
  const auto input = allocation::allocation_input(of_2024, weights, path);
  print_row("measurement", "2024 schema");
  print_row("modules", std::to_string(input.layers.size()));
  for (const std::string& remark : shapes.remarks) print_row("remark", remark);
  print_layers(input);
}

void inspect_state(const std::string& path) {
  const checkpoint::StateFileSummary summary = checkpoint::summarize_state_file(path);
  print_row("state of a run", "whole, every hash right");
  print_row("kind", summary.kind);
  print_row("fingerprint", summary.fingerprint);
  for (const auto& attribute : summary.attributes) {
    print_row(attribute.name.c_str(), attribute.value);
  }
  std::printf("\n%-44s %10s %14s\n", "dataset", "type", "elements");
  for (const auto& dataset : summary.datasets) {
    std::printf("%-44s %10s %14lld\n", dataset.name.c_str(), dataset.type.c_str(),
                static_cast<long long>(dataset.count));
  }
}

// HDF5's signature, in the first bytes of every state file.
bool is_hdf5(const std::string& path) {
  const formats::FileHandle file = formats::FileHandle::open_for_reading(path);
  std::array<char, 8> head{};
  if (file.size() < std::ssize(head)) return false;
  file.read_exact(0, std::as_writable_bytes(std::span(head)));
  return std::string_view(head.data(), head.size()) == "\x89HDF\r\n\x1a\n";
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

void inspect(const InspectArguments& arguments) {
  const std::string& path = arguments.path;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    fail(ExitCode::no_input, "{}: no such file or folder{}", path,
         formats::missing_model_hint(path));
  }
  if (std::filesystem::is_directory(path)) {
    inspect_model(arguments);
    return;
  }
  if (is_hdf5(path)) {
    inspect_state(path);
    return;
  }
  const auto json = formats::JsonText::read(path);
  if (json.root().is_object() && json.root().find("measurement")) {
    inspect_measurement(path);
  } else if (json.root().is_object() && json.root().find("choices")) {
    inspect_plan(path);
  } else {
    fail(ExitCode::bad_data,
         "{}: neither a measurement, nor a plan, nor a state file; of a model the folder is wanted",
         path);
  }
}

}  // namespace shardquant::commands
