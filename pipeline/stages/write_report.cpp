#include "pipeline/stages/write_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "pipeline/allocation/frontier.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/run_fingerprint.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/model_directory.hpp"
#include "pipeline/output/layer_state.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/numerical_report.hpp"

namespace shardquant::stages {

namespace {

using report::RunReport;

constexpr const char* kKind = "report";
constexpr const char* kName = "report";
constexpr int kFrontierSteps = 24;
constexpr std::int64_t kMostSettingsBytes = std::int64_t{1} << 24;

RunReport::Output describe_output(const waves::RunContext& context,
                                  const output::AllocatedModel& allocated) {
  const records::Plan& plan = allocated.plan;
  RunReport::Output output;
  const config::RunConfig::Allocate& asked = context.config.allocate;
  output.asked_bpw = asked.size.empty() && asked.plan.empty() ? asked.bpw : std::nan("");
  output.bpw = plan.bpw();
  output.stored_bpw = plan.stored_bpw();
  output.folder_bpw = 8.0 * static_cast<double>(allocated.output.plan.file_bytes()) /
                      static_cast<double>(context.model.parameters());
  output.head_bits = context.config.allocate.head_bits;
  output.weight_bytes = allocated.output.plan.file_bytes();
  output.objective = plan.objective;
  output.status = plan.status;
  output.objective_value = plan.objective_value;
  output.lower_bound = plan.lower_bound;
  output.gap = plan.gap;
  output.sum_err = plan.sum_err;
  output.max_err = plan.max_err;
  return output;
}

std::vector<RunReport::Layer> describe_layers(const model::SourceModel& model,
                                              const records::Plan& plan,
                                              const records::Measurement& measurement) {
  std::vector<RunReport::Layer> layers;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const records::PlannedLayer& planned = plan.layers[i];
    const model::LinearLayer& layer = model.layer(static_cast<std::int64_t>(i));
    layers.push_back({planned.key, model.group(layer.group).block,
                      planned.key.substr(planned.key.rfind('.') + 1), planned.desc,
                      static_cast<double>(planned.bits) / static_cast<double>(layer.parameters()),
                      planned.err, measurement.layers[i].sensitivity});
  }
  return layers;
}

// Bits per weight that all layers have at the least and at the most.
std::pair<double, double> reachable_bpw(const records::Measurement& measurement) {
  double least = 0.0, most = 0.0, weights = 0.0;
  for (const records::LayerMeasurement& layer : measurement.layers) {
    const auto [low, high] =
        std::minmax_element(layer.options.begin(), layer.options.end(),
                            [](const auto& a, const auto& b) { return a.bits() < b.bits(); });
    least += static_cast<double>(low->bits());
    most += static_cast<double>(high->bits());
    weights += static_cast<double>(layer.numel);
  }
  return {least / weights, most / weights};
}

std::vector<RunReport::FrontierPoint> describe_frontier(const waves::RunContext& context,
                                                        const records::Measurement& measurement) {
  const auto [least, most] = reachable_bpw(measurement);
  const auto input = allocation::allocation_input(measurement, context.work.measurement().string());
  const allocation::AllocationRequest request =
      allocation_request(context.config, input.has_sensitivities());
  std::vector<RunReport::FrontierPoint> frontier;
  for (int step = 0; step <= kFrontierSteps; ++step) {
    // A thousandth above what is least, so that rounding leaves it reachable.
    const double bpw =
        std::ceil(1000.0 * (least + (most - least) * step / kFrontierSteps)) / 1000.0;
    try {
      const auto points = allocation::allocate_frontier(input, request, {bpw});
      const records::Plan& plan = points.front().plan;
      frontier.push_back(
          {bpw, plan.bpw(), plan.objective_value, plan.lower_bound, plan.sum_err, plan.max_err});
    } catch (const Failure& failure) {
      if (failure.code() != ExitCode::config) throw;  // out of reach, as the 2023 rule may find
    }
  }
  return frontier;
}

// Every option that all layers have.
std::vector<RunReport::Uniform> describe_uniform(const records::Measurement& measurement) {
  struct Total {
    std::size_t layers = 0;
    double bits = 0.0, weights = 0.0, err = 0.0;
  };
  std::map<std::string, Total> totals;
  for (const records::LayerMeasurement& layer : measurement.layers) {
    for (const records::MeasuredOption& option : layer.options) {
      Total& total = totals[option.desc];
      ++total.layers;
      total.bits += static_cast<double>(option.bits());
      total.weights += static_cast<double>(layer.numel);
      total.err += option.err;
    }
  }
  std::vector<RunReport::Uniform> uniform;
  for (const auto& [option, total] : totals) {
    if (total.layers != measurement.layers.size()) continue;
    uniform.push_back({option, total.bits / total.weights, total.err});
  }
  std::sort(uniform.begin(), uniform.end(),
            [](const auto& a, const auto& b) { return a.bpw < b.bpw; });
  return uniform;
}

RunReport::Evaluation describe_evaluation(const Evaluation& evaluation) {
  const evaluation::Comparison& figures = evaluation.figures;
  return {evaluation.rows,         evaluation.length,        figures.tokens,
          evaluation.rows_hash,    figures.other_perplexity, figures.plain_perplexity,
          figures.mean_divergence, figures.divergence_99,    figures.top_agreement,
          evaluation.block_errors};
}

std::vector<RunReport::Warning> describe_warnings(const waves::RunContext& context,
                                                  const MeasuredModel& measured,
                                                  const output::AllocatedModel& allocated) {
  constexpr std::string_view kMark = "warning: ";
  std::vector<RunReport::Warning> warnings;
  for (const std::string& text : allocated.plan.warnings) warnings.push_back({text, true});
  for (const std::string& line :
       numerical_summary(context.model, measured.layers, &allocated.output.options)) {
    const bool is_warning = line.starts_with(kMark);
    warnings.push_back({is_warning ? line.substr(kMark.size()) : line, is_warning});
  }
  return warnings;
}

// The next size made in this work folder writes its report over this one.
void keep_report(const waves::RunContext& context, double bpw, const std::string& text) {
  const std::filesystem::path folder = context.work.kept_reports();
  checkpoint::create_folders_durably(folder);
  const std::string name =
      fmt::format("{}-{:.4g}bpw", context.config.output.dir.filename().string(), bpw);
  checkpoint::write_durably(folder / (name + ".json"), text);
  checkpoint::write_durably(folder / (name + ".html"), report::report_page(text));
}

}  // namespace

RunReport describe_run(const waves::RunContext& context, const MeasuredModel& measured,
                       const output::AllocatedModel& allocated,
                       const std::optional<Evaluation>& evaluation, const StageTimes& times) {
  RunReport report;
  report.stages = times.gather(context.comm);
  report.run.peak_bytes = context.comm.max(report::peak_resident_bytes());
  if (!context.comm.is_root()) return report;
  const model::ModelDescription& description = context.model.description;
  report.model = {formats::model_name(context.config.model.path),
                  std::string(description.family->name),
                  description.layers,
                  context.model.layout.block_parameters(),
                  context.model.parameters(),
                  context.model.folder.tensor_bytes()};
  report.output = describe_output(context, allocated);
  report.layers = describe_layers(context.model, allocated.plan, measured.measurement);
  report.frontier = describe_frontier(context, measured.measurement);
  report.uniform = describe_uniform(measured.measurement);
  if (evaluation) {
    report.evaluation = describe_evaluation(*evaluation);
    report.points = {{report.output.bpw, report.output.head_bits, report.output.weight_bytes,
                      report.evaluation->perplexity, report.evaluation->plain_perplexity,
                      report.evaluation->kl_mean, report.evaluation->kl_99,
                      report.evaluation->top_agreement}};
  }
  report.warnings = describe_warnings(context, measured, allocated);
  report.run.ranks = context.comm.size();
  report.run.restart = context.events.restart();
  report.run.seconds = context.log.elapsed() - context.begun_s;
  report.run.device = context.backend.description();
  // The job as it was asked for: where rows come from text, it has no token file.
  report.settings = checkpoint::read_whole(context.work.resolved_config(), kMostSettingsBytes);
  report.hashes = checkpoint::load_fingerprint(context.work.fingerprint()).fields();
  report.hashes.emplace_back("run", context.fingerprint);
  report.hashes.emplace_back("measurement", allocated.plan.measurement_hash);
  if (evaluation) report.hashes.emplace_back("validation_rows", evaluation->rows_hash);
  return report;
}

void write_report(const waves::RunContext& context, const MeasuredModel& measured,
                  const output::AllocatedModel& allocated,
                  const std::optional<Evaluation>& evaluation, const StageTimes& times) {
  const std::filesystem::path json = context.work.report();
  const std::filesystem::path page = context.work.report_page();
  const std::filesystem::path record = context.work.quantized(kName);
  // The settings as they are written: another name of the same text is shown as it is now.
  const std::string run =
      fmt::format("{}:{}:{}", output::output_fingerprint(context, allocated),
                  evaluation ? evaluation->rows_hash : "",
                  checkpoint::xxh3_128_hex(config::output_identity(context.config)));
  std::int64_t is_there = 0;
  comm::on_root(context.comm, [&] {
    is_there = std::filesystem::exists(json) && std::filesystem::exists(page) &&
               checkpoint::state_file_is_usable(record, kKind, run);
  });
  if (context.comm.max(is_there) != 0) {
    context.log.line("report", page.string() + " is there from an earlier run");
    return;
  }
  const RunReport report = describe_run(context, measured, allocated, evaluation, times);
  comm::on_root(context.comm, [&] {
    const std::string text = report::report_json(report);
    checkpoint::write_durably(json, text);
    checkpoint::write_durably(page, report::report_page(text));
    keep_report(context, allocated.plan.bpw(), text);
    checkpoint::StateFileWriter(record, kKind, run).commit();
    context.log.line("report", page.string());
  });
}

}  // namespace shardquant::stages
