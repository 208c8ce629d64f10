#include "pipeline/stages/allocate_bits.hpp"

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::stages {

namespace {

// Indices into the options of each layer's measurement -> options of the format's table.
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

// Layers of the blocks that the format wants to have one option, by their index.
std::vector<std::vector<int>> ties_of(const waves::RunContext& context) {
  std::vector<std::vector<std::int64_t>> sets;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (group.index != context.model.layout.head_group) sets.push_back(group.layers);
  }
  std::vector<std::vector<int>> ties;
  for (const auto& tied : context.format.ties(sets)) ties.emplace_back(tied.begin(), tied.end());
  return ties;
}

output::OutputLayout layout_with(const waves::RunContext& context,
                                 const std::vector<std::int64_t>& options) {
  return output::lay_out_output(
      context.model.layout, context.format,
      output::with_head(context.model.layout, options,
                        weights::head_option(context.format, context.config.allocate.head_bits)),
      context.config.output.shard_mib);
}

struct Solved {
  records::Plan plan;
  std::vector<std::int64_t> options;  // of the layers of the blocks
};

Solved solve(const waves::RunContext& context, const records::Measurement& measurement) {
  const std::string name = context.work.measurement().string();
  allocation::AllocationRequest request;
  request.budget = allocation::Budget::bits_per_weight(context.config.allocate.bpw);
  request.objective = context.config.objective();
  request.ties = ties_of(context);
  allocation::Allocation allocation =
      allocation::allocate(allocation::allocation_input(measurement, name), request);
  Solved solved{std::move(allocation.plan), options_of(context, allocation.choices)};
  allocation::add_recipes(measurement, solved.plan);
  solved.plan.measurement_hash = records::content_hash(records::measurement_2023_text(measurement));
  const output::OutputLayout layout = layout_with(context, solved.options);
  solved.plan.stored_bits =
      output::stored_layer_bits(context.model.layout, context.format, layout.options);
  solved.plan.folder_bytes = layout.plan.file_bytes();
  return solved;
}

}  // namespace

output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement) {
  std::string text;
  const auto layers = static_cast<std::size_t>(context.model.layout.block_layers());
  std::vector<std::int64_t> options(layers);
  comm::on_root(context.comm, [&] {
    Solved solved = solve(context, measurement);
    text = records::plan_text(solved.plan);
    checkpoint::write_durably(context.work.plan(), text);
    options = std::move(solved.options);
  });
  text = comm::broadcast_text(context.comm, std::move(text));
  context.comm.broadcast(std::as_writable_bytes(std::span(options)));

  output::AllocatedModel model{records::parse_plan(text, context.work.plan().string()),
                               layout_with(context, options)};
  if (context.comm.is_root()) {
    const records::Plan& plan = model.plan;
    context.log.line(
        "allocate",
        fmt::format("{} of {} bits per weight, {} {:.9g}{}, largest err {:.4f}, weights {}",
                    plan.bpw(), context.config.allocate.bpw, plan.objective, plan.objective_value,
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
