#include "pipeline/stages/allocate_bits.hpp"

#include <optional>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/forecast/output_size.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/records/measurement_json.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/given_files.hpp"

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
  for (std::size_t i = 0; i < static_cast<std::size_t>(context.model.layout.block_layers()); ++i) {
    const records::PlannedLayer& planned = model.plan.layers[i];
    if (planned.key != layers[i].key) {
      fail(ExitCode::internal, "the plan has {} where the model has {}", planned.key,
           layers[i].key);
    }
    model.options[i] = option_named(context, planned.desc, planned.key);
    choices[i] = &model.options[i];
  }
  const auto head = exl2::head_option(static_cast<int>(context.config.allocate.head_bits));
  const auto at = static_cast<std::size_t>(context.model.layout.head_layer);
  model.quantized[at] = head.has_value();
  if (head) {
    model.options[at] = *head;
    choices[at] = &model.options[at];
  }
  model.output =
      output::lay_out_output(context.model.layout, choices, context.config.output.shard_mib);
}

records::Plan solve(const waves::RunContext& context, const records::Measurement& measurement) {
  const std::string name = context.work.measurement().string();
  const config::RunConfig& config = context.config;
  allocation::AllocationRequest request = allocation_request(config);
  std::optional<forecast::OutputSize> output_size;
  allocation::FolderSize folder;
  if (!config.allocate.size.empty()) {
    output_size.emplace(config.model.path, static_cast<int>(config.allocate.head_bits),
                        config.output.shard_mib,
                        formats::link_policy(config.model.links == "follow"));
    folder = output_size->by_layer(measurement);
    request.folder = &folder;
  }
  records::Plan plan =
      allocation::allocate(allocation::allocation_input(measurement, name), request).plan;
  allocation::add_recipes(measurement, plan);
  plan.measurement_hash =
      records::content_hash(formats::read_text_file(name, records::kMaxMeasurementBytes));
  if (output_size) plan.folder_bytes = output_size->bytes(measurement, plan);
  return plan;
}

// What plan.json is to be.
std::string plan_of(const waves::RunContext& context, const records::Measurement& measurement) {
  if (!context.config.allocate.plan.empty()) return read_given_plan(context);
  output::AllocatedModel model{solve(context, measurement), {}, {}, {}};
  if (!model.plan.folder_bytes) {
    apply_plan(context, model);
    model.plan.stored_bits = model.output.stored_layer_bits(context.model.layout);
    model.plan.folder_bytes = model.output.plan.file_bytes();
  }
  return records::plan_text(model.plan);
}

std::string asked_for(const config::RunConfig::Allocate& allocate) {
  if (!allocate.plan.empty()) return "as planned in " + allocate.plan.filename().string();
  if (!allocate.size.empty()) return "for a folder of " + allocate.size;
  return fmt::format("of {} bits per weight", allocate.bpw);
}

}  // namespace

allocation::AllocationRequest allocation_request(const config::RunConfig& config) {
  const config::RunConfig::Allocate& asked = config.allocate;
  return allocation::make_request({asked.bpw, 0, asked.size, asked.objective, asked.tolerance,
                                   asked.pin, asked.floor, asked.ceiling, asked.tie, asked.tie_all,
                                   asked.weights});
}

output::AllocatedModel allocate_bits(const waves::RunContext& context,
                                     const records::Measurement& measurement) {
  std::string text;
  comm::on_root(context.comm, [&] {
    text = plan_of(context, measurement);
    checkpoint::write_durably(context.work.plan(), text);
  });
  text = comm::broadcast_text(context.comm, std::move(text));

  output::AllocatedModel model{records::parse_plan(text, context.work.plan().string()), {}, {}, {}};
  apply_plan(context, model);
  if (!model.plan.stored_bits) {  // a plan from elsewhere need not know them
    model.plan.stored_bits = model.output.stored_layer_bits(context.model.layout);
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
