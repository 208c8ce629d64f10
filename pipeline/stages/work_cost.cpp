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

}  // namespace

double measure_cost(const model::ModelLayout& layout, const model::HessianGroup& group,
                    std::int64_t options) {
  const auto k = static_cast<double>(group.inputs);
  double cost = k * k * k / 3.0;
  for (const std::int64_t index : group.layers) {
    const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(index)];
    cost += static_cast<double>(options) * sweep_cost(layer);
  }
  return cost;
}

double quantize_cost(const model::ModelLayout& layout, const model::HessianGroup& group) {
  return measure_cost(layout, group, 1);
}

double forward_cost(const model::ModelLayout& layout, std::int64_t block, std::int64_t tokens) {
  const auto t = static_cast<double>(tokens);
  double cost = 0.0;
  for (const model::HessianGroup& group : layout.groups) {
    if (group.block != block) continue;
    const auto k = static_cast<double>(group.inputs);
    cost += t * k * k;
    for (const std::int64_t index : group.layers) {
      const model::LinearLayer& layer = layout.linear_layers[static_cast<std::size_t>(index)];
      cost += 2.0 * t * k * static_cast<double>(layer.outputs);
    }
  }
  return cost;
}

}  // namespace shardquant::stages
