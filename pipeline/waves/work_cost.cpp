#include "pipeline/waves/work_cost.hpp"

#include <algorithm>

#include "pipeline/model/layer_shape.hpp"

namespace shardquant::waves {

namespace {

// A step of the scale search (one weight, one shrink factor) takes as long as this many GEMM
// operations: 4.2e9 steps against 155e9 operations per second and core.
constexpr double kOperationsPerSearchStep = 37.0;
constexpr double kSearchSteps = 49.0;

// Sweep of rows [shared, K) of a layer: row c is corrected by the c rows before it.
WorkAmount sweep_work(const model::LinearLayer& layer, std::int64_t shared) {
  const auto n = static_cast<double>(layer.outputs);
  const auto k = static_cast<double>(layer.inputs);
  const auto begin = static_cast<double>(shared);
  WorkAmount work;
  work.update = n * (k * k - begin * begin);
  work.weights = n * (k - begin);
  work.search = work.weights * kSearchSteps;
  return work;
}

// The norm of the layer's output, by which its errors are divided.
WorkAmount norm_work(const model::LinearLayer& layer) {
  WorkAmount work;
  work.update = static_cast<double>(layer.outputs * layer.inputs * layer.inputs);
  return work;
}

WorkAmount factor_work(const model::HessianGroup& group) {
  const auto k = static_cast<double>(group.inputs);
  WorkAmount work;
  work.factor = k * k * k / 3.0;
  return work;
}

WorkAmount sum_of(WorkAmount a, const WorkAmount& b) {
  return a += b;
}

// One unit that stands for adding up a Hessian, for groups of which no more is wanted.
GroupUnits sum_units(const model::HessianGroup& group) {
  GroupUnits result;
  result.group = group.index;
  GroupUnits::Unit unit{group.layers.front(), 0, true, {}, {}};
  unit.first.update = unit.after.update = static_cast<double>(group.inputs * group.inputs);
  result.units = {unit};
  return result;
}

/// An option of a layer on its way through the sweep.
struct Option {
  bool exists = false;
  std::vector<kernels::RowGroup> groups;  ///< by which options share their beginnings; may be none
};

std::vector<Option> options_of(const weights::WeightFormat& format,
                               const weights::LayerShape& layer) {
  std::vector<Option> options;
  for (std::int64_t index = 0; index < format.option_count(); ++index) {
    const auto recipe = format.recipe(index, layer);
    Option& option = options.emplace_back();
    option.exists = recipe.has_value();
    if (!recipe) continue;
    if (const auto* groups = std::get_if<std::vector<kernels::RowGroup>>(&*recipe)) {
      option.groups = *groups;
    }
  }
  return options;
}

std::vector<std::size_t> sharing_order(const std::vector<Option>& options) {
  std::vector<std::vector<kernels::RowGroup>> groups;
  for (const Option& option : options) groups.push_back(option.groups);
  return kernels::sharing_order(groups);
}

// Units of the options of one layer in sharing order.
void add_layer_units(GroupUnits& result, const model::LinearLayer& layer, std::int64_t index,
                     const weights::WeightFormat& format, const std::vector<bool>& wanted) {
  const std::vector<Option> options = options_of(format, model::shape_of(layer));
  const Option* before = nullptr;
  const auto base = static_cast<std::size_t>(index) * options.size();
  for (const std::size_t place : sharing_order(options)) {
    const Option& option = options[place];
    GroupUnits::Unit unit{index, static_cast<std::int64_t>(place), false, {}, {}};
    unit.wanted = option.exists && (wanted.empty() || wanted[base + place]);
    if (unit.wanted) {
      unit.first = sum_of(sweep_work(layer, 0), norm_work(layer));
      unit.after = before == nullptr
                       ? unit.first
                       : sweep_work(layer, kernels::shared_rows(before->groups, option.groups));
      before = &option;
    }
    result.units.push_back(unit);
  }
}

}  // namespace

WorkAmount& WorkAmount::operator+=(const WorkAmount& other) {
  forward += other.forward;
  hessian += other.hessian;
  factor += other.factor;
  update += other.update;
  search += other.search;
  weights += other.weights;
  return *this;
}

double operations_of(const WorkAmount& work) {
  return work.forward + work.hessian + work.factor + work.update +
         work.search * kOperationsPerSearchStep;
}

WorkAmount GroupUnits::work(std::int64_t first, std::int64_t end) const {
  WorkAmount sum;
  bool begun = false;
  for (std::int64_t u = first; u < end; ++u) {
    const Unit& unit = units[static_cast<std::size_t>(u)];
    if (!unit.wanted) continue;
    if (!begun) sum += setup;
    sum += begun ? unit.after : unit.first;
    begun = true;
  }
  return sum;
}

GroupUnits measure_units(const model::ModelLayout& layout, const model::HessianGroup& group,
                         const weights::WeightFormat& format, const std::vector<bool>& wanted) {
  if (group.index == layout.head_group) return sum_units(group);
  GroupUnits result;
  result.group = group.index;
  result.setup = factor_work(group);
  for (const std::int64_t index : group.layers) {
    add_layer_units(result, layout.linear_layers[static_cast<std::size_t>(index)], index, format,
                    wanted);
  }
  const bool any = std::any_of(result.units.begin(), result.units.end(),
                               [](const GroupUnits::Unit& unit) { return unit.wanted; });
  return any ? result : sum_units(group);
}

GroupUnits measure_units(const model::ModelLayout& layout, const model::HessianGroup& group,
                         const weights::WeightFormat& format) {
  return measure_units(layout, group, format, {});
}

GroupUnits quantize_units(const model::ModelLayout& layout, const model::HessianGroup& group,
                          const std::vector<bool>& wanted) {
  GroupUnits result;
  result.group = group.index;
  result.setup = factor_work(group);
  for (const std::int64_t index : group.layers) {
    const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(index)];
    GroupUnits::Unit unit{index, 0, wanted[static_cast<std::size_t>(index)], {}, {}};
    unit.first = unit.after = sum_of(sweep_work(layer, 0), norm_work(layer));
    result.units.push_back(unit);
  }
  return result;
}

std::string options_text(const std::vector<std::int64_t>& options) {
  std::string text;
  for (const std::int64_t option : options) {
    text += (text.empty() ? "" : ",") + std::to_string(option);
  }
  return text.empty() ? "all" : text;
}

std::vector<LayerOptions> layer_options(const GroupUnits& units, std::int64_t first,
                                        std::int64_t end) {
  std::vector<LayerOptions> found;
  for (std::int64_t u = first; u < end; ++u) {
    const GroupUnits::Unit& unit = units.units[static_cast<std::size_t>(u)];
    if (!unit.wanted) continue;
    if (found.empty() || found.back().layer != unit.layer) found.push_back({unit.layer, {}});
    found.back().options.push_back(unit.option);
  }
  for (LayerOptions& each : found) std::sort(each.options.begin(), each.options.end());
  return found;
}

WorkAmount block_work(const model::ModelLayout& layout, std::int64_t block, std::int64_t tokens,
                      std::int64_t length) {
  const auto t = static_cast<double>(tokens);
  WorkAmount work;
  for (const model::HessianGroup& group : layout.groups) {
    if (group.block != block) continue;
    const auto k = static_cast<double>(group.inputs);
    work.hessian += t * k * k;
    for (const std::int64_t index : group.layers) {
      const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(index)];
      work.forward += 2.0 * t * k * static_cast<double>(layer.outputs);
    }
  }
  work.forward += t * layout.part_operations(block, length);
  return work;
}

}  // namespace shardquant::waves
