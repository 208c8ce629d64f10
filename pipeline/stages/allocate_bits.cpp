#include "pipeline/stages/allocate_bits.hpp"

#include <optional>
#include <utility>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/forecast/output_size.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/given_files.hpp"

namespace shardquant::stages {

namespace {

// Indices into the options of each layer's own measurement -> options of the format's table.
std::vector<std::int64_t> options_of(const waves::RunContext& context,
                                     const std::vector<int>& choices) {
  std::vector<std::int64_t> options;
  for (std::size_t l = 0; l < choices.size(); ++l) {
    const auto measured = weights::existing_options(
        context.format, model::shape_of(context.model.layout.linear_layers[l]));
    options.push_back(measured.at(static_cast<std::size_t>(choices[l])));
  }
  return options;
}

// Of a plan made from a file, or that is one: @pre its options are known.
std::vector<std::int64_t> options_of(const waves::RunContext& context, const records::Plan& plan) {
  std::vector<std::int64_t> options;
  for (const records::PlannedLayer& layer : plan.layers) {
    options.push_back(weights::option_of_text(context.format, layer.desc).value());
  }
  return options;
}

output::OutputLayout layout_with(const waves::RunContext& context,
                                 const std::vector<std::int64_t>& options) {
  return output::lay_out_output(
      context.model.layout, context.format,
      output::with_head(context.model.layout, options,
                        weights::head_option(context.format, context.config.allocate.head_bits)),
      context.config.output.shard_mib);
}

std::int64_t stored_bits(const waves::RunContext& context, const output::OutputLayout& layout) {
  return output::stored_layer_bits(context.model.layout, context.format, layout.options);
}

// What plan.json is to be, and the options of the layers of the blocks that it stands for.
struct Decided {
  std::string plan;
  std::vector<std::int64_t> options;
};

Decided solve(const waves::RunContext& context, const records::Measurement& measurement) {
  const std::string name = context.work.measurement().string();
  const config::RunConfig& config = context.config;
  const auto input = allocation::allocation_input(measurement, name);
  allocation::AllocationRequest request = allocation_request(config, input.has_sensitivities());
  request.ties = format_ties(context);
  std::optional<forecast::OutputSize> output_size;
  allocation::FolderSize folder;
  if (!config.allocate.size.empty()) {
    output_size.emplace(config.model.path, context.format,
                        static_cast<int>(config.allocate.head_bits), config.output.shard_mib,
                        formats::link_policy(config.model.links == "follow"));
    folder = output_size->by_layer(measurement);
    request.folder = &folder;
  }
  allocation::Allocation allocation = allocation::allocate(input, request);
  records::Plan& plan = allocation.plan;
  Decided decided;
  decided.options = config.measure.file.empty() ? options_of(context, allocation.choices)
                                                : options_of(context, plan);
  allocation::add_recipes(measurement, plan);
  plan.measurement_hash =
      records::content_hash(formats::read_text_file(name, records::kMaxMeasurementBytes));
  if (output_size) {
    plan.folder_bytes = output_size->bytes(measurement, plan);
  } else {
    const output::OutputLayout layout = layout_with(context, decided.options);
    plan.stored_bits = stored_bits(context, layout);
    plan.folder_bytes = layout.plan.file_bytes();
  }
  decided.plan = records::plan_text(plan);
  return decided;
}

Decided decide(const waves::RunContext& context, const records::Measurement& measurement) {
  if (context.config.allocate.plan.empty()) return solve(context, measurement);
  Decided decided{read_given_plan(context), {}};
  decided.options =
      options_of(context, records::parse_plan(decided.plan, context.work.plan().string()));
  return decided;
}

std::string asked_for(const config::RunConfig::Allocate& allocate) {
  if (!allocate.plan.empty()) return "as planned in " + allocate.plan.filename().string();
  if (!allocate.size.empty()) return "for a folder of " + allocate.size;
  return fmt::format("of {} bits per weight", allocate.bpw);
}

}  // namespace

allocation::AllocationRequest allocation_request(const config::RunConfig& config,
                                                 bool has_sensitivities) {
  const config::RunConfig::Allocate& asked = config.allocate;
  const std::string objective = config.objective();
  return allocation::make_request(
      {asked.bpw, 0, asked.size,
       objective == "kl" && !has_sensitivities ? "sum_squares" : objective, asked.tolerance,
       asked.pin, asked.floor, asked.ceiling, asked.tie, asked.tie_all, asked.weights});
}

std::vector<std::vector<int>> format_ties(const waves::Job& job) {
  std::vector<std::vector<std::int64_t>> sets;
  for (const model::HessianGroup& group : job.model.layout.groups) {
    if (group.index != job.model.layout.head_group) sets.push_back(group.layers);
  }
  std::vector<std::vector<int>> ties;
  for (const auto& tied : job.format.ties(sets)) ties.emplace_back(tied.begin(), tied.end());
  return ties;
}

output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement) {
  std::string text;
  const auto layers = static_cast<std::size_t>(context.model.layout.block_layers());
  std::vector<std::int64_t> options(layers);
  comm::on_root(context.comm, [&] {
    Decided decided = decide(context, measurement);
    text = std::move(decided.plan);
    checkpoint::write_durably(context.work.plan(), text);
    options = std::move(decided.options);
  });
  text = comm::broadcast_text(context.comm, std::move(text));
  context.comm.broadcast(std::as_writable_bytes(std::span(options)));

  output::AllocatedModel model{records::parse_plan(text, context.work.plan().string()),
                               layout_with(context, options)};
  if (!model.plan.stored_bits) {  // a plan from elsewhere need not know them
    model.plan.stored_bits = stored_bits(context, model.output);
  }
  if (context.comm.is_root()) {
    const records::Plan& plan = model.plan;
    context.log.line(
        "allocate",
        fmt::format("{} {}, {} {:.9g}{}, largest err {:.4f}, weights {}", plan.bpw(),
                    asked_for(context.config.allocate), plan.objective, plan.objective_value,
                    plan.gap ? fmt::format(" (gap {:.2g})", *plan.gap) : "", plan.max_err,
                    report::bytes_text(model.output.plan.file_bytes())));
    context.events.write("allocation", "allocate",
                         {{"objective", plan.objective},
                          {"value", plan.objective_value},
                          {"status", plan.status},
                          {"bpw", plan.bpw()}});
  }
  return model;
}

}  // namespace shardquant::stages
