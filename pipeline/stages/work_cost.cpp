#include "pipeline/stages/work_cost.hpp"

namespace shardquant::stages {

namespace {

// A step of the scale search (one weight, one shrink factor) takes as long as this many GEMM
// operations: 4.2e9 steps against 155e9 operations per second and core.
constexpr double kOperationsPerSearchStep = 37.0;
constexpr double kSearchSteps = 49.0;

double sweep_cost(const model::LinearLayer& layer) {
  const auto k = static_cast<double>(layer.inputs);
  const auto n = static_cast<double>(layer.outputs);
  return n * k * (k + kSearchSteps * kOperationsPerSearchStep);
}

double factor_cost(const model::HessianGroup& group) {
  const auto k = static_cast<double>(group.inputs);
  return k * k * k / 3.0;
}

double group_cost(const model::ModelLayout& layout, const model::HessianGroup& group,
                  std::int64_t options) {
  double cost = factor_cost(group);
  for (const std::int64_t index : group.layers) {
    const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(index)];
    cost += static_cast<double>(options) * sweep_cost(layer);
  }
  return cost;
}

// Rows and operations of the sweep that are left when options share what they begin with
// (performance.md section 0, item 6); one option shares nothing.
constexpr double kRowsLeft = 0.894;
constexpr double kUpdatesLeft = 0.82;

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

double measure_cost(const model::ModelLayout& layout, const model::HessianGroup& group,
                    std::int64_t options) {
  const auto k = static_cast<double>(group.inputs);
  return group.index == layout.groups.back().index ? k * k : group_cost(layout, group, options);
}

double quantize_cost(const model::ModelLayout& layout, const model::HessianGroup& group) {
  return group_cost(layout, group, 1);
}

double measure_layer_cost(const model::ModelLayout& layout, std::int64_t layer,
                          std::int64_t options) {
  const model::LinearLayer& info = layout.linear_layers[static_cast<std::size_t>(layer)];
  const model::HessianGroup& group = layout.groups[static_cast<std::size_t>(info.group)];
  const double first = group.layers.front() == layer ? factor_cost(group) : 0.0;
  return first + static_cast<double>(options) * sweep_cost(info);
}

WorkAmount group_work(const model::ModelLayout& layout, const model::HessianGroup& group,
                      std::int64_t options) {
  const auto k = static_cast<double>(group.inputs);
  const auto swept = static_cast<double>(options);
  WorkAmount work;
  work.factor = k * k * k / 3.0;
  for (const std::int64_t index : group.layers) {
    const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(index)];
    const auto n = static_cast<double>(layer.outputs);
    work.update += n * k * k * swept * (options > 1 ? kUpdatesLeft : 1.0);
    work.weights += n * k * swept * (options > 1 ? kRowsLeft : 1.0);
  }
  work.search = work.weights * kSearchSteps;
  return work;
}

WorkAmount block_work(const model::ModelDescription& description, const model::ModelLayout& layout,
                      std::int64_t block, std::int64_t tokens, std::int64_t length) {
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
  if (block < description.layers) {
    // Scores and values, of the tokens before each alone: half of 4 T L heads head_dim.
    work.forward += 2.0 * t * static_cast<double>(length) *
                    static_cast<double>(description.heads * description.head_dim);
  }
  return work;
}

}  // namespace shardquant::stages
