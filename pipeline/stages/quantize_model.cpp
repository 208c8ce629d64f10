#include "pipeline/stages/quantize_model.hpp"

#include <optional>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/comm/assign_work.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/folder_files.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/stages/calibrate.hpp"
#include "pipeline/stages/factor_group.hpp"
#include "pipeline/stages/group_state.hpp"
#include "pipeline/stages/layer_state.hpp"
#include "pipeline/stages/output_files.hpp"
#include "pipeline/stages/quantize_layer.hpp"
#include "pipeline/stages/work_cost.hpp"
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

  void quantize_group(const model::HessianGroup& group, const CalibratedGroup& calibrated) const {
    const auto settings = settings_for_group(context_.model, group.index, context_.settings);
    const kernels::HessianFactor factor =
        factor_group(context_.backend, context_.model, group.index, calibrated.hessian, settings);
    require_rtn_allowed(context_.model, group.index, factor.method,
                        context_.config.quantizer.max_rtn_layers);
    for (const std::int64_t layer : group.layers) {
      if (!wants_layer(layer)) continue;
      const QuantizedLayer quantized = quantize_layer(context_.backend, context_.model, layer,
                                                      allocated_.output, factor, settings);
      write(layer, quantized);
    }
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

bool all_kept(const RunContext& context, const std::vector<bool>& wanted) {
  const std::vector<bool> kept = find_complete(context, GroupFile::hessian);
  for (std::size_t g = 0; g < wanted.size(); ++g) {
    if (wanted[g] && !kept[g]) return false;
  }
  return true;
}

// Groups dealt out over all ranks at once: nothing ties one to another.
void quantize_from_files(const RunContext& context, const std::vector<bool>& wanted,
                         const LayerQuantizer& quantizer, report::Progress* progress) {
  std::vector<std::int64_t> items;
  std::vector<double> costs;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (!wanted[static_cast<std::size_t>(group.index)]) continue;
    items.push_back(group.index);
    costs.push_back(quantizer.cost(group));
  }
  std::vector<double> load(static_cast<std::size_t>(context.comm.size()));
  const std::vector<int> owners = comm::assign_work(costs, load);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (owners[i] != context.comm.rank()) continue;
    quantizer.quantize_group(context.model.group(items[i]), load_hessian(context, items[i]));
    if (progress != nullptr) progress->advance(costs[i]);
  }
}

void quantize_from_calibration(const RunContext& context, const std::vector<bool>& wanted,
                               const LayerQuantizer& quantizer, report::Progress* progress) {
  CalibrationRequest request;
  request.wanted = wanted;
  request.cost = [&](const model::HessianGroup& group) { return quantizer.cost(group); };
  calibrate(context, request,
            [&](const model::HessianGroup& group, const CalibratedGroup& calibrated) {
              quantizer.quantize_group(group, calibrated);
              if (progress != nullptr) progress->advance(quantizer.cost(group));
            });
}

// The share of this rank, for its own progress line.
double own_part(double total, int ranks) {
  return total / ranks;
}

void quantize_layers(const RunContext& context, const AllocatedModel& allocated,
                     const std::vector<bool>& done, const OutputFiles& files) {
  const LayerQuantizer quantizer(context, allocated, done, files);
  const std::vector<bool> wanted = wanted_groups(context, quantizer);
  std::int64_t items = 0;
  double total = 0.0;
  for (const model::HessianGroup& group : context.model.layout.groups) {
    if (!wanted[static_cast<std::size_t>(group.index)]) continue;
    ++items;
    total += quantizer.cost(group);
  }
  const bool from_files = all_kept(context, wanted);
  std::optional<report::Progress> progress;
  if (context.comm.is_root()) {
    context.log.line("quantize", from_files ? "from the kept Hessians"
                                            : "Hessians computed again by a forward pass");
    progress.emplace(context.log, "quantize", items, own_part(total, context.comm.size()));
  }
  report::Progress* shown = progress ? &*progress : nullptr;
  if (from_files) {
    quantize_from_files(context, wanted, quantizer, shown);
  } else {
    quantize_from_calibration(context, wanted, quantizer, shown);
  }
}

}  // namespace

void quantize_model(const RunContext& context, const AllocatedModel& allocated) {
  const std::filesystem::path& folder = context.config.output.dir;
  if (context.comm.max(context.comm.is_root() && output_is_published(context, allocated)) != 0) {
    context.log.line("quantize", "output complete by an earlier run: " + folder.string());
    return;
  }
  comm::on_root(context.comm, [&] { prepare_output(context, allocated); });
  context.events.write("phase_start", "quantize");
  {
    const OutputFiles files(folder, allocated.output);
    const std::vector<bool> done = find_finished_layers(context, allocated, files);
    quantize_layers(context, allocated, done, files);
    write_plain_tensors(context, allocated.output, files);
    files.sync();
  }
  context.comm.barrier();
  comm::on_root(context.comm, [&] {
    publish_model(context, allocated.output, allocated.plan.bpw());
    mark_published(context, allocated);
    context.log.line("write", fmt::format("{} files of weights in {}",
                                          allocated.output.plan.shards.size(), folder.string()));
  });
  context.events.write("phase_end", "quantize");
}

}  // namespace shardquant::stages
