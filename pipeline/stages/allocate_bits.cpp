#include "pipeline/stages/allocate_bits.hpp"

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::stages {

namespace {

const exl2::QuantOption& option_named(const waves::RunContext& context, const std::string& desc,
                                      const std::string& key) {
  for (const exl2::QuantOption& option : context.options) {
    if (exl2::describe(option) == desc) return option;
  }
  fail(ExitCode::internal, "{}: the plan names an unknown option '{}'", key, desc);
}

// Options by linear layer and the layout of the output that follow from a plan.
void apply_plan(const waves::RunContext& context, output::AllocatedModel& model) {
  const auto& layers = context.model.layout.linear_layers;
  model.options.resize(layers.size());
  model.quantized.assign(layers.size(), true);
  std::vector<const exl2::QuantOption*> choices(layers.size());
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    const records::PlannedLayer& planned = model.plan.layers[i];
    if (planned.key != layers[i].key) {
      fail(ExitCode::internal, "the plan has {} where the model has {}", planned.key,
           layers[i].key);
    }
    model.options[i] = option_named(context, planned.desc, planned.key);
    choices[i] = &model.options[i];
  }
  const auto head = exl2::head_option(static_cast<int>(context.config.allocate.head_bits));
  model.quantized.back() = head.has_value();
  if (head) {
    model.options.back() = *head;
    choices.back() = &model.options.back();
  }
  model.output =
      output::lay_out_output(context.model.layout, choices, context.config.output.shard_mib);
}

records::Plan solve(const waves::RunContext& context, const records::Measurement& measurement) {
  const std::string name = context.work.measurement().string();
  allocation::AllocationRequest request;
  request.budget = allocation::Budget::bits_per_weight(context.config.allocate.bpw);
  request.objective = context.config.allocate.objective;
  records::Plan plan =
      allocation::allocate(allocation::allocation_input(measurement, name), request).plan;
  allocation::add_recipes(measurement, plan);
  plan.measurement_hash = records::content_hash(records::measurement_2023_text(measurement));
  return plan;
}

}  // namespace

output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement) {
  std::string text;
  comm::on_root(context.comm, [&] {
    output::AllocatedModel model{solve(context, measurement), {}, {}, {}};
    apply_plan(context, model);
    model.plan.stored_bits = model.output.stored_layer_bits(context.model.layout);
    model.plan.folder_bytes = model.output.plan.file_bytes();
    text = records::plan_text(model.plan);
    checkpoint::write_durably(context.work.plan(), text);
  });
  text = comm::broadcast_text(context.comm, std::move(text));

  output::AllocatedModel model{records::parse_plan(text, context.work.plan().string()), {}, {}, {}};
  apply_plan(context, model);
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
