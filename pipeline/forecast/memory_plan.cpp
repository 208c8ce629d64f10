#include "pipeline/forecast/memory_plan.hpp"

#include <algorithm>

#include "pipeline/evaluation/evaluation_cost.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"
#include "pipeline/waves/calibrate.hpp"
#include "pipeline/waves/measure_group.hpp"
#include "pipeline/waves/packed_hessian.hpp"
#include "pipeline/waves/plan_waves.hpp"
#include "pipeline/waves/sensitivity_units.hpp"
#include "pipeline/waves/sum_over_slices.hpp"
#include "pipeline/waves/work_cost.hpp"

namespace shardquant::forecast {

namespace {

constexpr std::int64_t kFloat = 4;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

// Program, MPI and HDF5 libraries (35 MiB measured, more with many peers), and what each thread's
// OpenBLAS keeps for packing.
std::int64_t fixed_bytes(int threads) {
  return 80 * kMiB + threads * 40 * kMiB;
}

std::int64_t hidden_bytes(const model::ModelDescription& description, const waves::Slices& slices,
                          int ranks) {
  const std::int64_t rows = std::min(slices.rounds(ranks) * slices.slice_rows, slices.rows);
  return rows * slices.length * description.hidden_size * kFloat;
}

// Hessians a rank sums or is given at a time: of the wave that gives one rank the most.
std::int64_t sum_bytes(const model::ModelLayout& layout, const weights::WeightFormat& format,
                       int ranks) {
  const std::vector<bool> all(layout.groups.size(), true);
  const auto units = [&](const model::HessianGroup& group) {
    return waves::measure_units(layout, group, format);
  };
  std::int64_t most = 0;
  for (const waves::Wave& wave : waves::plan_waves(layout, {all, units, true}, ranks)) {
    std::vector<std::int64_t> held(static_cast<std::size_t>(ranks));
    std::int64_t group = -1;
    std::vector<int> holders;  // of that group
    for (const waves::GroupPart& part : wave.parts) {
      if (part.group != group) holders.clear();
      group = part.group;
      if (std::find(holders.begin(), holders.end(), part.rank) != holders.end()) continue;
      holders.push_back(part.rank);
      held[static_cast<std::size_t>(part.rank)] +=
          waves::PackedHessian::bytes(layout.groups[static_cast<std::size_t>(group)].inputs);
    }
    most = std::max(most, *std::max_element(held.begin(), held.end()));
  }
  return most;
}

// Weights of the largest block in fp32, one of them also as it is stored, and one Hessian per
// group.
std::int64_t block_bytes(const model::ModelLayout& layout) {
  std::vector<std::int64_t> bytes(layout.groups.size());
  std::int64_t largest_stored = 0;
  for (const model::HessianGroup& group : layout.groups) {
    auto& of_block = bytes[static_cast<std::size_t>(group.block)];
    of_block += group.inputs * group.inputs * kFloat;
    for (const std::int64_t layer : group.layers) {
      of_block += layout.linear_layers[static_cast<std::size_t>(layer)].parameters() * kFloat;
      largest_stored =
          std::max(largest_stored,
                   layout.linear_layers[static_cast<std::size_t>(layer)].parameters() * kFloat);
    }
  }
  return *std::max_element(bytes.begin(), bytes.end()) + largest_stored;
}

// Factor, and of the largest layer: stored weight, fp32 weight, difference, codes, values, packed
// form.
std::int64_t item_bytes(const model::ModelLayout& layout) {
  std::int64_t most = 0;
  for (const model::HessianGroup& group : layout.groups) {
    std::int64_t largest = 0;
    for (const std::int64_t layer : group.layers) {
      largest =
          std::max(largest, layout.linear_layers[static_cast<std::size_t>(layer)].parameters());
    }
    most = std::max(most, group.inputs * group.inputs * kFloat + largest * 17);
  }
  return most + 64 * kMiB;
}

std::int64_t sensitivity_peak(const model::ModelDescription& description,
                              const model::ModelLayout& layout, const config::RunConfig& config,
                              int ranks) {
  if (!config.wants_sensitivities()) return 0;
  std::vector<std::int64_t> units(static_cast<std::size_t>(ranks));
  for (const int owner : waves::deal_sensitivity_units(layout, config, ranks)) {
    ++units[static_cast<std::size_t>(owner)];
  }
  return fixed_bytes(static_cast<int>(config.device.threads)) +
         waves::sensitivity_bytes(description, layout, waves::sensitivity_tokens(config),
                                  *std::max_element(units.begin(), units.end()));
}

}  // namespace

void MemoryPlan::add_cuda_libraries() {
  // Without a device in use; 182 MiB measured with CUDA 13.0.
  constexpr std::int64_t kBytes = std::int64_t{224} << 20;
  terms.push_back({"libraries of CUDA", kBytes, false});
}

std::int64_t MemoryPlan::bytes() const {
  std::int64_t sum = 0;
  for (const Term& term : terms) sum += term.bytes;
  return sum;
}

std::int64_t MemoryPlan::device_bytes() const {
  std::int64_t sum = 0;
  for (const Term& term : terms) sum += term.computed_on ? term.bytes : 0;
  return sum;
}

MemoryPlan plan_memory(const model::ModelDescription& description, const model::ModelLayout& layout,
                       const weights::WeightFormat& format, const config::RunConfig& config,
                       int ranks) {
  const waves::Slices slices{config.calibration.rows, config.calibration.slice_rows,
                             config.calibration.length};
  const auto threads = static_cast<int>(config.device.threads);
  const std::int64_t micro_tokens = waves::micro_batch_rows(slices) * slices.length;
  std::int64_t sketch_bytes = 0;
  if (config.measure.norm() == config::ErrNorm::row_mean) {
    for (const model::HessianGroup& group : layout.groups) {
      sketch_bytes = std::max(sketch_bytes, group.inputs);
    }
    sketch_bytes *= slices.rows * waves::kSketchRows * kFloat * (2 + layout.most_groups_of_block());
  }
  const std::int64_t forward =
      block_bytes(layout) + model::run_head_workspace_bytes(description) +
      model::run_block_workspace_bytes(layout, micro_tokens, slices.length) + 48 * kMiB;
  MemoryPlan plan;
  plan.terms = {
      {"program and libraries", fixed_bytes(threads), false},
      {"hidden states of this rank's slices", hidden_bytes(description, slices, ranks), true},
      {"Hessian sums of a wave", sum_bytes(layout, format, ranks), false},
      {"sketches", sketch_bytes, false},
      {"one block forward, or one layer quantized", std::max(forward, item_bytes(layout)), true}};
  plan.terms.push_back({"more than that for the sensitivities",
                        std::max<std::int64_t>(
                            sensitivity_peak(description, layout, config, ranks) - plan.bytes(), 0),
                        true});
  const std::int64_t evaluation =
      fixed_bytes(threads) + evaluation::evaluation_bytes(
                                 description, layout, config.most_evaluation_rows(), slices.length);
  plan.terms.push_back({"more than that for the evaluation",
                        std::max<std::int64_t>(evaluation - plan.bytes(), 0), true});
  return plan;
}

}  // namespace shardquant::forecast
