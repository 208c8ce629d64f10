#include "pipeline/forecast/disk_plan.hpp"

#include <cmath>
#include <functional>
#include <numeric>

#include "pipeline/waves/packed_hessian.hpp"
#include "pipeline/waves/sensitivity_units.hpp"
#include "pipeline/waves/trial_weights.hpp"

namespace shardquant::forecast {

namespace {

constexpr std::int64_t kFloat = 4;
constexpr std::int64_t kHalf = 2;
constexpr std::int64_t kHeader = 1024;

// Codes and scales at the asked bits per weight, with what else a layer has (permutation, list of
// groups, its part of the header); the rest in half precision.
std::int64_t output_bytes(const model::ModelLayout& layout, const config::RunConfig& config) {
  double bits = 0.0;
  std::int64_t plain = 0;
  std::int64_t beside = 0;
  for (const model::LinearLayer& layer : layout.linear_layers) {
    const bool is_head = layer.is_head;
    bits += static_cast<double>(layer.parameters()) *
            (is_head ? static_cast<double>(config.allocate.head_bits) : config.allocate.bpw);
    beside += layer.inputs * 2 * kFloat + kHeader;
    if (layer.has_bias) plain += layer.outputs;
  }
  for (const model::PlainTensor& tensor : layout.plain_tensors) {
    plain += std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                             std::multiplies<>());
  }
  return static_cast<std::int64_t>(std::ceil(bits / 8.0)) + beside + plain * kHalf;
}

// Weights that are tried, and states: of every changed model one, of the model one before each
// block.
std::int64_t trial_bytes(const model::ModelDescription& description,
                         const model::ModelLayout& layout, const config::RunConfig& config) {
  std::int64_t weights = 0;
  for (std::int64_t l = 0; l < layout.block_layers(); ++l) {
    weights += waves::trial_weight_bytes(layout.linear_layers[static_cast<std::size_t>(l)]);
  }
  const std::int64_t states =
      std::ssize(waves::sensitivity_units(layout, config.sensitivity)) + std::ssize(layout.blocks);
  return weights +
         states * waves::sensitivity_tokens(config).count() * description.hidden_size * kFloat;
}

}  // namespace

DiskPlan plan_disk(const model::ModelDescription& description, const model::ModelLayout& layout,
                   const config::RunConfig& config, bool keep_hessians) {
  constexpr std::int64_t kGenerations = 3;
  DiskPlan plan;
  if (keep_hessians) {
    for (const model::HessianGroup& group : layout.groups) {
      plan.hessians += waves::PackedHessian::bytes(group.inputs);
    }
  }
  plan.hidden_states = kGenerations * config.calibration.rows * config.calibration.length *
                       description.hidden_size * kFloat;
  if (config.wants_sensitivities()) plan.trials = trial_bytes(description, layout, config);
  plan.output = output_bytes(layout, config);
  return plan;
}

std::int64_t bytes_in(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::int64_t sum = 0;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code unreadable;
    if (!entry->is_regular_file(unreadable)) continue;
    const auto bytes = entry->file_size(unreadable);
    if (!unreadable) sum += static_cast<std::int64_t>(bytes);
  }
  return sum;
}

}  // namespace shardquant::forecast
