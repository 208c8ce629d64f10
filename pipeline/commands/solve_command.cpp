#include "pipeline/commands/solve_command.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <variant>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/allocation/frontier.hpp"
#include "pipeline/allocation/make_request.hpp"
#include "pipeline/allocation/module_shapes.hpp"
#include "pipeline/commands/print_allocation.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/forecast/output_size.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"
#include "pipeline/report/log.hpp"

namespace shardquant::commands {

namespace {

using formats::Overwrite;
using records::Measurement;
using records::Measurement2024;

constexpr std::int64_t kMaxMeasurementBytes = std::int64_t{1} << 30;

// A measurement of either schema and what the allocation needs of it.
struct Input {
  records::AnyMeasurement measurement;
  allocation::AllocationInput view;
  std::string hash;

  const Measurement* of_2023() const { return std::get_if<Measurement>(&measurement); }
};

void warn(const std::string& text) {
  std::fprintf(stderr, "shardquant: warning: %s\n", report::printable(text).c_str());
}

Input read_input(const std::string& file) {
  const std::string text = formats::read_text_file(file, kMaxMeasurementBytes);
  Input input{records::parse_measurement(text, file), {}, records::content_hash(text)};
  if (const Measurement* measurement = input.of_2023()) {
    input.view = allocation::allocation_input(*measurement, file);
    return input;
  }
  const auto& measurement = std::get<Measurement2024>(input.measurement);
  const allocation::ModuleShapes shapes = allocation::find_module_shapes(measurement);
  for (const std::string& remark : shapes.remarks) warn(file + ": " + remark);
  std::vector<std::int64_t> numel;
  for (const auto& shape : shapes.shapes) numel.push_back(shape ? shape->numel() : 0);
  input.view = allocation::allocation_input(measurement, numel, file);
  return input;
}

// Where no objective is asked for, that which the measurement allows.
allocation::AllocationRequest request_of(const SolveArguments& arguments, const Input& input) {
  std::string objective = arguments.objective;
  if (objective.empty()) objective = input.view.has_sensitivities() ? "kl" : "sum";
  return allocation::make_request({arguments.bpw, arguments.bits, arguments.size, objective,
                                   arguments.tolerance, arguments.pins, arguments.floors,
                                   arguments.ceilings, arguments.ties, arguments.ties_across_blocks,
                                   arguments.weights});
}

Overwrite overwrite(const SolveArguments& arguments) {
  return arguments.force ? Overwrite::yes : Overwrite::no;
}

void write_results(const SolveArguments& arguments, Input& input,
                   const allocation::Allocation& allocation) {
  if (!arguments.out.empty()) {
    records::write_plan(arguments.out, allocation.plan, overwrite(arguments));
  }
  if (arguments.measurement_out.empty()) return;
  if (auto* measurement = std::get_if<Measurement>(&input.measurement)) {
    allocation::mark_choices(allocation, *measurement);
    records::write_measurement_2023(arguments.measurement_out, *measurement, overwrite(arguments));
  } else {
    auto& modules = std::get<Measurement2024>(input.measurement);
    allocation::mark_choices(allocation, modules);
    records::write_measurement_2024(arguments.measurement_out, modules, overwrite(arguments));
  }
}

void solve_frontier(const SolveArguments& arguments, const Input& input,
                    const allocation::AllocationRequest& request) {
  if (!arguments.measurement_out.empty()) {
    fail(ExitCode::usage, "--measurement-out takes one choice; a frontier has many");
  }
  const auto points = allocation::allocate_frontier(input.view, request,
                                                    allocation::parse_frontier(arguments.frontier));
  const std::string csv = allocation::frontier_csv(points);
  std::fputs(csv.c_str(), stdout);
  if (arguments.out.empty()) return;
  const std::filesystem::path out = arguments.out;
  const std::filesystem::path csv_file = std::filesystem::path(out).replace_extension(".csv");
  if (csv_file == out) {
    fail(ExitCode::usage, "{}: --out names the JSON file, the CSV goes beside it", arguments.out);
  }
  formats::write_file(out, allocation::frontier_json(points, request.objective, input.hash),
                      overwrite(arguments));
  formats::write_file(csv_file, csv, overwrite(arguments));
}

// Sizes on disk are known where the source model is.
std::optional<forecast::OutputSize> open_model(const SolveArguments& arguments,
                                               const Input& input) {
  if (arguments.model.empty()) return std::nullopt;
  if (input.of_2023() == nullptr) {
    fail(ExitCode::config, "--model: sizes on disk are known for measurements of the 2023 schema");
  }
  return forecast::OutputSize(arguments.model, *weights::find_weight_format(arguments.format),
                              arguments.head_bits, arguments.shard_mib,
                              formats::link_policy(arguments.follow_symlinks));
}

void add_options(CLI::App& command, SolveArguments& arguments) {
  command.add_option("--measurement", arguments.measurement, "Measurement, 2023 or 2024 schema")
      ->required();

  CLI::Option_group* budget = command.add_option_group("budget", "What the layers may take");
  budget->add_option("--bpw", arguments.bpw, "Bits per weight, as the measurement counts bits")
      ->check(CLI::PositiveNumber);
  budget->add_option("--size", arguments.size,
                     "Bytes of the whole output folder, as 24GiB; needs --model");
  budget->add_option("--bits", arguments.bits, "Bits of all layers, as the measurement counts them")
      ->check(CLI::PositiveNumber);
  budget->add_option("--frontier", arguments.frontier,
                     "Many budgets, FIRST:LAST:STEP in bits per weight, as JSON and CSV");
  budget->require_option(1);

  command
      .add_option(
          "--objective", arguments.objective,
          "What is minimized; left out: kl where the measurement has sensitivities, else sum")
      ->check(CLI::IsMember(allocation::objective_names()));
  command.add_option("--tolerance", arguments.tolerance, "Relative gap at which the proof may end")
      ->check(CLI::Range(0.0, 1.0));
  const auto add_rule = [&command](const char* name, std::vector<std::string>& rules,
                                   const char* text) {
    command.add_option(name, rules, text)->allow_extra_args(false);
  };
  add_rule("--pin", arguments.pins, "PATTERN=OPTION: take this option (desc, or #index)");
  add_rule("--floor", arguments.floors, "PATTERN=BPW: no option of fewer bits per weight");
  add_rule("--ceiling", arguments.ceilings, "PATTERN=BPW: none of more");
  add_rule("--tie", arguments.ties, "PATTERN: same option within each block");
  add_rule("--tie-all", arguments.ties_across_blocks, "PATTERN: same option in all blocks");
  command.add_option("--weights", arguments.weights,
                     "JSON file {PATTERN: weight}, for the objective weighted");

  command.add_option("--model", arguments.model, "Source model folder, for sizes on disk");
  command.add_flag("--follow-symlinks", arguments.follow_symlinks,
                   "Follow links that lead out of that folder, as to a shared store");
  command.add_option("--format", arguments.format, "Form in which the weights will be stored")
      ->check(CLI::IsMember(weights::weight_format_names()));
  command.add_option("--head-bits", arguments.head_bits, "Bits of the head: 2 3 4 5 6 8 16");
  command.add_option("--shard-mib", arguments.shard_mib, "Largest file of the output")
      ->check(CLI::PositiveNumber);

  command.add_option("--out", arguments.out, "Write plan.json, or the frontier and its CSV");
  command.add_option("--measurement-out", arguments.measurement_out,
                     "Write the measurement with the choices filled in, for ExLlamaV2");
  command.add_flag("--print", arguments.print, "Print bits per layer as a heat map");
  command.add_flag("--force", arguments.force, "Overwrite existing files");
  command.footer("Patterns are globs over the whole layer name, or regular expressions after re:");
}

}  // namespace

void solve(const SolveArguments& arguments) {
  Input input = read_input(arguments.measurement);
  allocation::AllocationRequest request = request_of(arguments, input);
  if (!arguments.frontier.empty()) {
    solve_frontier(arguments, input, request);
    return;
  }
  const auto output_size = open_model(arguments, input);
  allocation::FolderSize folder;
  if (output_size) {
    folder = output_size->by_layer(*input.of_2023());
    request.folder = &folder;
  }
  allocation::Allocation allocation = allocation::allocate(input.view, request);
  records::Plan& plan = allocation.plan;
  plan.measurement_hash = input.hash;
  if (const Measurement* measurement = input.of_2023()) {
    allocation::add_recipes(*measurement, plan);
    if (output_size) plan.folder_bytes = output_size->bytes(*measurement, plan);
  }
  for (const std::string& warning : plan.warnings) warn(warning);
  std::fputs(plan_summary(plan).c_str(), stdout);
  if (arguments.print) std::printf("\n%s", plan_heat_map(input.view, plan).c_str());
  write_results(arguments, input, allocation);
}

void add_solve_command(CLI::App& app, std::function<void(comm::Communicator&)>& action) {
  auto arguments = std::make_shared<SolveArguments>();
  CLI::App* command =
      app.add_subcommand("solve", "Choose every layer's option from a measurement, proven optimal");
  add_options(*command, *arguments);
  command->callback(
      [arguments, &action] { action = [arguments](comm::Communicator&) { solve(*arguments); }; });
}

}  // namespace shardquant::commands
