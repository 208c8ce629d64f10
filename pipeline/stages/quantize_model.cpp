#include "pipeline/stages/quantize_model.hpp"

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/stages/factor_group.hpp"
#include "pipeline/stages/group_state.hpp"
#include "pipeline/stages/layer_state.hpp"
#include "pipeline/stages/output_files.hpp"
#include "pipeline/stages/quantize_layer.hpp"
#include "pipeline/stages/work_cost.hpp"
#include "pipeline/stages/work_off_groups.hpp"
#include "pipeline/stages/write_model.hpp"

namespace shardquant::stages {

namespace {

// One rank's part in filling the shards.
class LayerQuantizer {
 public:
  LayerQuantizer(const RunContext& context, const AllocatedModel& allocated,
                 const std::vector<bool>& done, const OutputFiles& files)
      : context_(context), allocated_(allocated), done_(done), files_(files) {}

  double cost(const model::HessianGroup& group) const {
    return quantize_cost(context_.model.layout, group);
  }

  // Whether a layer of the group is still to be quantized.
  bool wants(const model::HessianGroup& group) const {
    for (const std::int64_t layer : group.layers) {
      if (wants_layer(layer)) return true;
    }
    return false;
  }

  // False where the run is to stop before the last layer of the group.
  bool quantize_group(const model::HessianGroup& group, const CalibratedGroup& calibrated) const {
    const auto settings = settings_for_group(context_.model, group.index, context_.settings);
    const kernels::HessianFactor factor =
        factor_group(context_.backend, context_.model, group.index, calibrated.hessian, settings);
    require_rtn_allowed(context_.model, group.index, factor.method,
                        context_.config.quantizer.max_rtn_layers);
    for (const std::int64_t layer : group.layers) {
      if (!wants_layer(layer)) continue;
      if (context_.control.should_stop()) return false;
      faults::reach(faults::Point::layer_quantizing, context_.model.layer(layer).key);
      const QuantizedLayer quantized = quantize_layer(context_.backend, context_.model, layer,
                                                      allocated_.output, factor, settings);
      write(layer, quantized);
    }
    return true;
  }

 private:
  bool wants_layer(std::int64_t layer) const {
    const auto index = static_cast<std::size_t>(layer);
    return allocated_.quantized[index] && !done_[index];
  }

  void write(std::int64_t layer, const QuantizedLayer& quantized) const {
    std::int64_t tensor = allocated_.output.first_of_linear[static_cast<std::size_t>(layer)];
    const std::int64_t first = tensor;
    for (const auto bytes : formats::exl2_tensor_bytes(quantized.tensors)) {
      files_.write(tensor++, 0, bytes);
    }
    faults::reach(faults::Point::layer_written, context_.model.layer(layer).key);
    files_.sync();  // the record must not be there before the bytes it vouches for
    save_layer(context_, allocated_, layer, quantized, files_, first, tensor - first);
  }

  const RunContext& context_;
  const AllocatedModel& allocated_;
  const std::vector<bool>& done_;
  const OutputFiles& files_;
};

std::vector<bool> wanted_groups(const RunContext& context, const LayerQuantizer& quantizer) {
  std::vector<bool> wanted;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    wanted.push_back(quantizer.wants(group));
  }
  return wanted;
}

void quantize_layers(const RunContext& context, const AllocatedModel& allocated,
                     const std::vector<bool>& done, const OutputFiles& files, bool hessians_kept) {
  const LayerQuantizer quantizer(context, allocated, done, files);
  GroupWork work;
  work.stage = "quantize";
  work.wanted = wanted_groups(context, quantizer);
  // Where they are kept, the measure stage has just checked or written every one.
  work.kept =
      hessians_kept ? std::vector<bool>(work.wanted.size(), true) : find_kept_hessians(context);
  work.store.resize(work.wanted.size());  // measured already: the next run would not look for them
  work.cost = [&](const model::HessianGroup& group) { return quantizer.cost(group); };
  work.later_cost = evaluation_cost(context);
  work.work = [&](const model::HessianGroup& group, const CalibratedGroup& calibrated) {
    return quantizer.quantize_group(group, calibrated);
  };
  work_off_groups(context, work);
}

}  // namespace

void quantize_model(const RunContext& context, const AllocatedModel& allocated,
                    bool hessians_kept) {
  const std::filesystem::path& folder = context.config.output.dir;
  if (context.comm.max(context.comm.is_root() && output_is_published(context, allocated)) != 0) {
    context.log.line("quantize", "output complete by an earlier run: " + folder.string());
    return;
  }
  bool interrupted = false;
  comm::on_root(context.comm, [&] { interrupted = prepare_output(context, allocated); });
  context.events.write("phase_start", "quantize");
  {
    const OutputFiles files(folder, allocated.output);
    const std::vector<bool> done = find_finished_layers(context, allocated, files);
    quantize_layers(context, allocated, done, files, hessians_kept);
    comm::on_all(context.comm, [&] {
      write_plain_tensors(context, allocated.output, files);
      files.sync();
    });
  }
  comm::on_root(context.comm, [&] {
    mark_publishing(context, allocated);
    faults::reach(faults::Point::publish_started);
    publish_model(context, allocated.output, allocated.plan.bpw(),
                  interrupted ? formats::Overwrite::yes : formats::Overwrite::no);
    faults::reach(faults::Point::output_written);
    mark_published(context, allocated);
    context.log.line("write", fmt::format("{} files of weights in {}",
                                          allocated.output.plan.shards.size(), folder.string()));
  });
  context.events.write("phase_end", "quantize");
}

}  // namespace shardquant::stages
