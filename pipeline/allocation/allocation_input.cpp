#include "pipeline/allocation/allocation_input.hpp"

#include <algorithm>

namespace shardquant::allocation {

std::int64_t AllocationInput::numel() const {
  std::int64_t total = 0;
  for (const AllocationLayer& layer : layers) {
    if (layer.numel == 0) return 0;
    total += layer.numel;
  }
  return total;
}

bool AllocationInput::has_sensitivities() const {
  return std::all_of(layers.begin(), layers.end(),
                     [](const AllocationLayer& layer) { return layer.sensitivity.has_value(); });
}

AllocationInput allocation_input(const records::Measurement& measurement, const std::string& name) {
  AllocationInput input;
  input.name = name;
  input.layers.reserve(measurement.layers.size());
  for (const records::LayerMeasurement& measured : measurement.layers) {
    AllocationLayer& layer = input.layers.emplace_back();
    layer.key = measured.key;
    layer.numel = measured.numel;
    layer.sensitivity = measured.sensitivity;
    layer.options.reserve(measured.options.size());
    for (const records::MeasuredOption& option : measured.options) {
      layer.options.push_back({option.desc, option.bits(), option.err, option.bpw,
                               static_cast<std::int64_t>(option.total_bits)});
    }
  }
  return input;
}

AllocationInput allocation_input(const records::Measurement2024& measurement,
                                 const std::vector<std::int64_t>& numel, const std::string& name) {
  AllocationInput input;
  input.name = name;
  for (std::size_t m = 0; m < measurement.modules.size(); ++m) {
    const records::ModuleMeasurement& module = measurement.modules[m];
    if (module.options.empty()) continue;
    AllocationLayer& layer = input.layers.emplace_back();
    layer.key = module.key;
    layer.numel = numel[m];
    for (const records::ModuleOption& option : module.options) {
      const double weights = layer.numel == 0 ? 1.0 : static_cast<double>(layer.numel);
      layer.options.push_back({option.desc(), option.total_bits, 1.0 - option.accuracy,
                               static_cast<double>(option.total_bits) / weights,
                               option.total_bits});
    }
  }
  return input;
}

}  // namespace shardquant::allocation
