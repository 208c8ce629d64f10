#include "pipeline/stages/quantize_model.hpp"

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/output/layer_state.hpp"
#include "pipeline/output/output_checksums.hpp"
#include "pipeline/output/output_files.hpp"
#include "pipeline/output/quantize_layer.hpp"
#include "pipeline/output/write_model.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/waves/factor_group.hpp"
#include "pipeline/waves/group_state.hpp"
#include "pipeline/waves/work_cost.hpp"
#include "pipeline/waves/work_off_groups.hpp"

namespace shardquant::stages {

namespace {

// A layer that a rank quantized: for the balance.
struct QuantizedItem {
  std::int64_t layer = 0;
  int rank = 0;
  double seconds = 0.0;
  double cost = 0.0;
};

// One rank's part in filling the shards.
class LayerQuantizer {
 public:
  LayerQuantizer(const waves::RunContext& context, const output::AllocatedModel& allocated,
                 const std::vector<bool>& done, const output::OutputFiles& files)
      : context_(context), allocated_(allocated), done_(done), files_(files) {}

  waves::GroupUnits units(const model::HessianGroup& group) const {
    std::vector<bool> wanted(done_.size());
    for (const std::int64_t layer : group.layers) {
      wanted[static_cast<std::size_t>(layer)] = wants_layer(layer);
    }
    return waves::quantize_units(context_.model.layout, group, wanted);
  }

  // Whether a layer of the group is still to be quantized.
  bool wants(const model::HessianGroup& group) const {
    for (const std::int64_t layer : group.layers) {
      if (wants_layer(layer)) return true;
    }
    return false;
  }

  // False where the run is to stop before the last layer of the part.
  bool quantize_part(const waves::GroupPart& part, const waves::CalibratedGroup& calibrated) {
    const report::Clock clock = report::start_clock();
    double begin = 0.0;
    const auto settings =
        waves::settings_for_group(context_.model, part.group, context_.format, context_.settings);
    const kernels::HessianFactor factor = waves::factor_group(
        context_.backend, context_.model, part.group, calibrated.hessian, settings);
    waves::require_rtn_allowed(context_.model, part.group, factor.method,
                               context_.config.quantizer.max_rtn_layers);
    const waves::GroupUnits all = units(context_.model.group(part.group));
    for (std::int64_t u = part.first; u < part.end; ++u) {
      if (!all.units[static_cast<std::size_t>(u)].wanted) continue;
      if (context_.control.should_stop()) return false;
      const std::int64_t layer = all.units[static_cast<std::size_t>(u)].layer;
      faults::reach(faults::Point::layer_quantizing, context_.model.layer(layer).key);
      const auto option = *allocated_.output.options[static_cast<std::size_t>(layer)];
      const output::QuantizedLayer quantized = output::quantize_layer(
          context_.backend, context_.model, {layer, context_.format, option}, factor, settings);
      write(layer, quantized);
      const double now = clock();
      items_.push_back({layer, context_.comm.rank(), now - begin,
                        waves::operations_of(all.work(part.first, u + 1)) -
                            waves::operations_of(all.work(part.first, u))});
      write_event(items_.back());
      begin = now;
    }
    return true;
  }

  const std::vector<QuantizedItem>& items() const { return items_; }

 private:
  bool wants_layer(std::int64_t layer) const {
    return allocated_.output.is_quantized(layer) && !done_[static_cast<std::size_t>(layer)];
  }

  void write(std::int64_t layer, const output::QuantizedLayer& quantized) const {
    std::int64_t tensor = allocated_.output.first_of_linear[static_cast<std::size_t>(layer)];
    for (const auto bytes : quantized.stored->tensor_bytes()) files_.write(tensor++, 0, bytes);
    faults::reach(faults::Point::layer_written, context_.model.layer(layer).key);
    files_.sync();  // the record must not be there before the bytes it vouches for
    output::save_layer(context_, allocated_, layer, quantized, files_);
  }

  void write_event(const QuantizedItem& item) const {
    context_.events.write("layer_quantized", "quantize",
                          {{"layer", context_.model.layer(item.layer).key},
                           {"rank", item.rank},
                           {"dur_s", item.seconds},
                           {"cost", item.cost}});
  }

  const waves::RunContext& context_;
  const output::AllocatedModel& allocated_;
  const std::vector<bool>& done_;
  const output::OutputFiles& files_;
  std::vector<QuantizedItem> items_;
};

// Collective; on root the balance is filled.
Balance gather_items(const waves::RunContext& context, const std::vector<QuantizedItem>& mine) {
  Balance balance("quantize", context.comm.size());
  for (const QuantizedItem& item : comm::gather_values(context.comm, mine)) {
    balance.add(item.rank, item.seconds, item.cost);
  }
  if (context.collector != nullptr) context.collector->collect();
  report_balance(context, balance);
  return balance;
}

std::vector<bool> wanted_groups(const waves::RunContext& context, const LayerQuantizer& quantizer) {
  std::vector<bool> wanted;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    wanted.push_back(quantizer.wants(group));
  }
  return wanted;
}

Balance quantize_layers(const waves::RunContext& context, const output::AllocatedModel& allocated,
                        const std::vector<bool>& done, const output::OutputFiles& files,
                        bool hessians_kept) {
  LayerQuantizer quantizer(context, allocated, done, files);
  waves::GroupWork work;
  work.stage = "quantize";
  work.wanted = wanted_groups(context, quantizer);
  // Where they are kept, the measure stage has just checked or written every one.
  work.kept = hessians_kept ? std::vector<bool>(work.wanted.size(), true)
                            : waves::find_kept_hessians(context);
  work.store.resize(work.wanted.size());  // measured already: the next run would not look for them
  work.units = [&](const model::HessianGroup& group) { return quantizer.units(group); };
  work.later_cost = evaluation_cost(context);
  work.work = [&](const waves::GroupPart& part, const waves::CalibratedGroup& calibrated) {
    return quantizer.quantize_part(part, calibrated);
  };
  waves::work_off_groups(context, work);
  return gather_items(context, quantizer.items());
}

}  // namespace

Balance quantize_model(const waves::RunContext& context, const output::AllocatedModel& allocated,
                       bool hessians_kept) {
  const std::filesystem::path& folder = context.config.output.dir;
  if (context.comm.max(context.comm.is_root() && output::output_is_published(context, allocated)) !=
      0) {
    context.log.line("quantize", "output complete by an earlier run: " + folder.string());
    return {};
  }
  bool interrupted = false;
  comm::on_root(context.comm, [&] { interrupted = output::prepare_output(context, allocated); });
  context.events.write("phase_start", "quantize");
  Balance balance;
  {
    const output::OutputFiles files(folder, allocated.output);
    const std::vector<bool> done = output::find_finished_layers(context, allocated, files);
    balance = quantize_layers(context, allocated, done, files, hessians_kept);
    comm::on_all(context.comm, [&] {
      output::write_plain_tensors(context, allocated.output, files);
      files.sync();
    });
  }
  comm::on_root(context.comm, [&] {
    output::mark_publishing(context, allocated);
    faults::reach(faults::Point::publish_started);
    output::publish_model(context, allocated.output, allocated.plan.bpw(),
                          interrupted ? formats::Overwrite::yes : formats::Overwrite::no);
    faults::reach(faults::Point::output_written);
  });
  output::write_checksums(context, output::checked_files(context, allocated.output),
                          formats::Overwrite::yes);
  comm::on_root(context.comm, [&] {
    output::mark_published(context, allocated);
    context.log.line("write", fmt::format("{} files of weights in {}",
                                          allocated.output.plan.shards.size(), folder.string()));
  });
  context.events.write("phase_end", "quantize");
  return balance;
}

}  // namespace shardquant::stages
