#include "pipeline/forecast/plan_job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "pipeline/evaluation/document_batch.hpp"
#include "pipeline/evaluation/evaluation_cost.hpp"
#include "pipeline/forecast/disk_plan.hpp"
#include "pipeline/forecast/judge_memory.hpp"
#include "pipeline/waves/deal_groups.hpp"
#include "pipeline/waves/packed_hessian.hpp"
#include "pipeline/waves/plan_waves.hpp"
#include "pipeline/waves/sensitivity_units.hpp"
#include "pipeline/waves/share_hessians.hpp"
#include "pipeline/waves/sum_over_slices.hpp"
#include "pipeline/waves/trial_weights.hpp"

namespace shardquant::forecast {

namespace {

constexpr double kGiga = 1e9;

double largest(const std::vector<double>& values) {
  return values.empty() ? 0.0 : *std::max_element(values.begin(), values.end());
}

using UnitsOf = std::function<waves::GroupUnits(const model::HessianGroup&)>;

class JobPlanner {
 public:
  JobPlanner(const JobPlanInput& input, int ranks)
      : in_(input),
        ranks_(ranks),
        slices_{input.config.calibration.rows, input.config.calibration.slice_rows,
                input.config.calibration.length} {
    plan_.ranks = ranks;
  }

  JobPlan plan();

 private:
  std::vector<double> by_rank() const {
    return std::vector<double>(static_cast<std::size_t>(ranks_));
  }
  const model::HessianGroup& group(std::int64_t index) const {
    return in_.layout.groups[static_cast<std::size_t>(index)];
  }
  bool head_is_quantized() const {
    return weights::head_option(in_.format, in_.config.allocate.head_bits).has_value();
  }
  double seconds(const waves::WorkAmount& work) const {
    return seconds_of(work, in_.profile, in_.config.device.threads);
  }
  double read_seconds(double bytes) const { return bytes / (in_.profile.read_gb_s * kGiga); }
  double write_seconds(double bytes) const { return bytes / (in_.profile.write_gb_s * kGiga); }
  std::int64_t weights_of(const model::HessianGroup& group) const;
  std::int64_t model_bytes() const;

  std::vector<waves::Wave> waves(const UnitsOf& units, bool with_head, bool all_blocks) const;
  void add_forward(StagePlan& stage, const std::vector<waves::Wave>& waves) const;
  void add_waves(StagePlan& stage, std::vector<PlannedItem>& items,
                 const std::vector<waves::Wave>& waves, const UnitsOf& units, bool with_head) const;
  void add_items(std::vector<PlannedItem>& items, const waves::GroupUnits& units,
                 const waves::GroupPart& part) const;
  void add_kept_hessians(StagePlan& stage, const std::vector<waves::GroupPart>& parts) const;
  void plan_measuring();
  void plan_sensitivity();
  void plan_quantizing();
  void plan_writing();
  void plan_evaluating();
  void add_remarks();

  const JobPlanInput& in_;
  int ranks_;
  waves::Slices slices_;
  JobPlan plan_;
};

std::int64_t JobPlanner::weights_of(const model::HessianGroup& group) const {
  std::int64_t weights = 0;
  for (const std::int64_t layer : group.layers) {
    weights += in_.layout.linear_layers[static_cast<std::size_t>(layer)].parameters();
  }
  return weights;
}

std::int64_t JobPlanner::model_bytes() const {
  std::int64_t weights = in_.description.vocab_size * in_.description.hidden_size;
  for (const model::HessianGroup& each : in_.layout.groups) weights += weights_of(each);
  return weights * in_.weight_bytes;
}

std::vector<waves::Wave> JobPlanner::waves(const UnitsOf& units, bool with_head,
                                           bool all_blocks) const {
  std::vector<bool> wanted(in_.layout.groups.size(), true);
  wanted[static_cast<std::size_t>(in_.layout.head_group)] = with_head;
  return waves::plan_waves(in_.layout, {wanted, units, all_blocks}, ranks_);
}

// Every rank forwards its slices through every block; the partial Hessians of a slice travel to the
// owner of the group, and every rank reads every block.
void JobPlanner::add_forward(StagePlan& stage, const std::vector<waves::Wave>& waves) const {
  std::vector<double> tokens = by_rank();
  for (std::int64_t s = 0; s < slices_.count(); ++s) {
    tokens[static_cast<std::size_t>(slices_.owner(s, ranks_))] +=
        static_cast<double>(slices_.rows_of(s) * slices_.length);
  }
  std::vector<double> received = by_rank();
  std::int64_t blocks_end = 0;
  for (const waves::Wave& wave : waves) {
    blocks_end = std::max(blocks_end, wave.end_block);
    for (std::size_t i = 0; i < wave.groups.size(); ++i) {
      const std::int64_t bytes = waves::PackedHessian::bytes(group(wave.groups[i]).inputs);
      for (std::int64_t s = 0; s < slices_.count(); ++s) {
        if (slices_.owner(s, ranks_) == wave.owners[i]) continue;
        stage.network_bytes += bytes;
        received[static_cast<std::size_t>(wave.owners[i])] += static_cast<double>(bytes);
      }
      for (const int helper : waves::helpers_of(wave, i)) {
        stage.network_bytes += bytes;
        received[static_cast<std::size_t>(helper)] += static_cast<double>(bytes);
      }
    }
  }
  for (std::int64_t block = 0; block < blocks_end; ++block) {
    const double per_token =
        seconds(waves::block_work(in_.layout, block, 1 << 20, slices_.length)) /
        static_cast<double>(1 << 20);
    for (std::size_t r = 0; r < tokens.size(); ++r) stage.busy_s[r] += tokens[r] * per_token;
    stage.compute_s += largest(tokens) * per_token;
  }
  stage.read_bytes += model_bytes() * ranks_;
  stage.moving_s += read_seconds(static_cast<double>(model_bytes())) +
                    largest(received) / (in_.profile.network_gb_s * kGiga);
}

// By layer, as the run's own records have it.
void JobPlanner::add_items(std::vector<PlannedItem>& items, const waves::GroupUnits& units,
                           const waves::GroupPart& part) const {
  std::int64_t first = part.first;
  double before = 0.0;
  double seconds_before = 0.0;
  while (first < part.end) {
    const std::int64_t layer = units.units[static_cast<std::size_t>(first)].layer;
    std::int64_t end = first;
    while (end < part.end && units.units[static_cast<std::size_t>(end)].layer == layer) ++end;
    const auto of_layer = waves::layer_options(units, first, end);
    if (!of_layer.empty()) {
      const waves::WorkAmount work = units.work(part.first, end);
      PlannedItem item{layer, of_layer.front().options, part.rank, 0.0, 0.0};
      item.cost = waves::operations_of(work) - before;
      item.seconds = seconds(work) - seconds_before;
      before = waves::operations_of(work);
      seconds_before = seconds(work);
      const std::size_t all = waves::layer_options(units, 0, units.count()).front().options.size();
      if (item.options.size() == all) item.options.clear();
      items.push_back(std::move(item));
    }
    first = end;
  }
}

// What the ranks do with each wave's groups before the next wave begins.
void JobPlanner::add_waves(StagePlan& stage, std::vector<PlannedItem>& items,
                           const std::vector<waves::Wave>& waves, const UnitsOf& units_of,
                           bool with_head) const {
  for (const waves::Wave& wave : waves) {
    std::vector<double> load = by_rank();
    std::vector<double> read = by_rank();
    for (const waves::GroupPart& part : wave.parts) {
      const model::HessianGroup& each = group(part.group);
      if (!with_head && each.block == in_.description.layers) continue;
      const waves::GroupUnits units = units_of(each);
      const double time = seconds(units.work(part.first, part.end));
      const auto rank = static_cast<std::size_t>(part.rank);
      load[rank] += time;
      stage.repeated_s += time;
      if (part.first == 0) stage.repeated_s -= seconds(units.work(0, units.count()));
      for (const waves::LayerOptions& piece : waves::layer_options(units, part.first, part.end)) {
        const std::int64_t bytes =
            in_.layout.linear_layers[static_cast<std::size_t>(piece.layer)].parameters() *
            in_.weight_bytes;
        read[rank] += static_cast<double>(bytes);
        stage.read_bytes += bytes;
      }
      add_items(items, units, part);
    }
    for (std::size_t r = 0; r < load.size(); ++r) stage.busy_s[r] += load[r];
    stage.compute_s += largest(load);
    stage.moving_s += read_seconds(largest(read));
  }
}

void JobPlanner::plan_measuring() {
  const UnitsOf units = [&](const model::HessianGroup& each) {
    return waves::measure_units(in_.layout, each, in_.format);
  };
  // A run that begins anew also takes the perplexity of the calibration rows, at the head.
  const auto measured = waves(units, in_.keep_hessians && head_is_quantized(), true);
  StagePlan calibrate;
  calibrate.name = "calibrate";
  calibrate.busy_s = by_rank();
  add_forward(calibrate, measured);
  StagePlan measure;
  measure.name = "measure";
  measure.busy_s = by_rank();
  add_waves(measure, plan_.measured, measured, units, false);
  if (in_.keep_hessians) {
    std::vector<double> written = by_rank();
    for (const waves::Wave& wave : measured) {
      for (std::size_t i = 0; i < wave.groups.size(); ++i) {
        const std::int64_t bytes = waves::PackedHessian::bytes(group(wave.groups[i]).inputs);
        measure.write_bytes += bytes;
        written[static_cast<std::size_t>(wave.owners[i])] += static_cast<double>(bytes);
      }
    }
    measure.moving_s += write_seconds(largest(written));
  }
  plan_.stages.push_back(std::move(calibrate));
  plan_.stages.push_back(std::move(measure));
}

// Every rank carries the model as it is beside its own changed ones, and reads the model once per
// pass; the weights that are tried are written when they are measured.
void JobPlanner::plan_sensitivity() {
  if (!in_.config.wants_sensitivities()) return;
  const waves::SensitivityTokens tokens = waves::sensitivity_tokens(in_.config);
  const auto units = waves::sensitivity_units(in_.layout, in_.config.sensitivity);
  const std::vector<int> owners = waves::deal_sensitivity_units(in_.layout, in_.config, ranks_);
  StagePlan stage;
  stage.name = "sensitivity";
  stage.busy_s = by_rank();
  std::vector<std::int64_t> own(static_cast<std::size_t>(ranks_));
  std::vector<double> tried = by_rank();
  for (std::size_t u = 0; u < units.size(); ++u) {
    const auto rank = static_cast<std::size_t>(owners[u]);
    ++own[rank];
    stage.busy_s[rank] += seconds(waves::sensitivity_work(in_.layout, units[u], tokens));
    for (const std::int64_t layer : units[u].layers) {
      const std::int64_t bytes =
          waves::trial_weight_bytes(in_.layout.linear_layers[static_cast<std::size_t>(layer)]);
      tried[rank] += static_cast<double>(bytes);
      stage.write_bytes += bytes;
      stage.read_bytes += bytes;
    }
  }
  const std::int64_t step = waves::units_of_pass(in_.description, tokens);
  std::int64_t most_passes = 0;
  for (std::size_t r = 0; r < own.size(); ++r) {
    const std::int64_t passes = (own[r] + step - 1) / step;
    most_passes = std::max(most_passes, passes);
    stage.busy_s[r] +=
        static_cast<double>(passes) * seconds(waves::sensitivity_base_work(in_.layout, tokens));
    stage.read_bytes += passes * model_bytes();
  }
  stage.compute_s = largest(stage.busy_s);
  stage.moving_s = read_seconds(static_cast<double>(most_passes * model_bytes()) + largest(tried)) +
                   write_seconds(largest(tried));
  plan_.stages.push_back(std::move(stage));
}

// Every rank with a part of a group reads its Hessian.
void JobPlanner::add_kept_hessians(StagePlan& stage,
                                   const std::vector<waves::GroupPart>& parts) const {
  std::vector<double> read = by_rank();
  for (const waves::GroupPart& part : parts) {
    const std::int64_t bytes = waves::PackedHessian::bytes(group(part.group).inputs);
    stage.read_bytes += bytes;
    read[static_cast<std::size_t>(part.rank)] += static_cast<double>(bytes);
  }
  stage.moving_s += read_seconds(largest(read));
}

void JobPlanner::plan_quantizing() {
  const std::vector<bool> all_layers(in_.layout.linear_layers.size(), true);
  const UnitsOf units = [&](const model::HessianGroup& each) {
    return waves::quantize_units(in_.layout, each, all_layers);
  };
  StagePlan stage;
  stage.name = "quantize";
  stage.busy_s = by_rank();
  if (!in_.keep_hessians) {
    const auto again = waves(units, head_is_quantized(), false);
    add_forward(stage, again);
    add_waves(stage, plan_.quantized, again, units, true);
    plan_.stages.push_back(std::move(stage));
    return;
  }
  // From the kept Hessians all groups are dealt out at once.
  waves::Wave all;
  std::vector<waves::GroupUnits> to_deal;
  for (const model::HessianGroup& each : in_.layout.groups) {
    if (each.block == in_.description.layers && !head_is_quantized()) continue;
    all.groups.push_back(each.index);
    to_deal.push_back(units(each));
  }
  all.parts = waves::deal_groups(to_deal, ranks_);
  add_waves(stage, plan_.quantized, {all}, units, true);
  add_kept_hessians(stage, all.parts);
  plan_.stages.push_back(std::move(stage));
}

void JobPlanner::plan_writing() {
  const DiskPlan disk = plan_disk(in_.description, in_.layout, in_.config, in_.keep_hessians);
  plan_.work_folder_bytes = disk.hessians + disk.hidden_states + disk.trials;
  plan_.output_bytes = disk.output;
  const double embedding =
      16.0 * static_cast<double>(in_.description.vocab_size * in_.description.hidden_size);
  StagePlan stage;
  stage.name = "write";
  stage.busy_s = by_rank();
  stage.write_bytes = plan_.output_bytes;
  stage.read_bytes = static_cast<std::int64_t>(embedding / 16.0) * in_.weight_bytes;
  const double share = static_cast<double>(plan_.output_bytes) / ranks_;
  stage.moving_s = write_seconds(std::max(share, ranks_ > 1 ? embedding / 8.0 : share));
  plan_.stages.push_back(std::move(stage));
}

// Batches of rows are dealt out in turn; a rank that has any reads both models.
void JobPlanner::plan_evaluating() {
  const std::int64_t rows = in_.config.most_evaluation_rows();
  if (rows == 0) return;
  const std::int64_t tokens = rows * slices_.length;
  const std::int64_t batch_rows =
      std::max<std::int64_t>(evaluation::kBatchTokens / slices_.length, 1);
  const std::int64_t batches = (rows + batch_rows - 1) / batch_rows;
  waves::WorkAmount work;
  work.forward = evaluation::evaluation_operations(in_.layout, tokens);
  const double batch_s = seconds(work) / static_cast<double>(batches);
  StagePlan stage;
  stage.name = "evaluate";
  stage.busy_s = by_rank();
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    stage.busy_s[static_cast<std::size_t>(batch % ranks_)] += batch_s;
  }
  stage.compute_s = largest(stage.busy_s);
  const std::int64_t bytes = model_bytes() + plan_.output_bytes;
  stage.read_bytes = bytes * std::min<std::int64_t>(batches, ranks_);
  stage.moving_s = read_seconds(static_cast<double>(bytes));
  plan_.stages.push_back(std::move(stage));
}

void JobPlanner::add_remarks() {
  const double forward = plan_.stages[0].balance();
  if (ranks_ > 1 && forward < 0.9) {
    const std::int64_t even = std::max<std::int64_t>(slices_.rows / ranks_, 1);
    plan_.remarks.push_back(
        fmt::format("calibrate: {} slices for {} ranks; calibration.slice_rows: {} deals them out "
                    "more evenly (results differ in the last digits)",
                    slices_.count(), ranks_, std::min(even, slices_.slice_rows)));
  }
  const StagePlan& measure = plan_.stages[1];
  const double busy = std::accumulate(measure.busy_s.begin(), measure.busy_s.end(), 0.0);
  if (measure.repeated_s > 0.1 * busy) {
    plan_.remarks.push_back(fmt::format(
        "measure: Hessian groups are cut for {} ranks; {:.0f} % of the work is done more than once",
        ranks_, 100.0 * measure.repeated_s / busy));
  }
  const auto on_node = std::min<std::int64_t>(ranks_, in_.profile.ranks_per_node);
  const std::int64_t threads = in_.config.device.threads;
  if (on_node * threads > in_.profile.cores_per_node) {
    plan_.remarks.push_back(
        fmt::format("device.threads: {} rank(s) of {} threads on a node of {} cores", on_node,
                    threads, in_.profile.cores_per_node));
  }
}

JobPlan JobPlanner::plan() {
  plan_measuring();
  plan_sensitivity();
  plan_quantizing();
  plan_writing();
  plan_evaluating();
  judge_memory(in_, plan_);
  add_remarks();
  return std::move(plan_);
}

}  // namespace

double StagePlan::balance() const {
  if (compute_s <= 0.0) return 1.0;
  const double sum = std::accumulate(busy_s.begin(), busy_s.end(), 0.0);
  return sum / static_cast<double>(busy_s.size()) / compute_s;
}

double JobPlan::seconds() const {
  double sum = 0.0;
  for (const StagePlan& stage : stages) sum += stage.seconds();
  return sum;
}

int JobPlan::nodes(const config::MachineProfile& profile) const {
  const auto per_node = static_cast<int>(profile.ranks_per_node);
  return (ranks + per_node - 1) / per_node;
}

double seconds_of(const waves::WorkAmount& work, const config::MachineProfile& profile,
                  std::int64_t threads) {
  const double seconds =
      work.forward / profile.forward_gflops + work.hessian / profile.hessian_gflops +
      work.factor / profile.factor_gflops + work.update / profile.update_gflops +
      work.search / profile.search_gsteps + work.weights / profile.sweep_gweights;
  return seconds / kGiga / (profile.per_thread ? static_cast<double>(threads) : 1.0);
}

JobPlan plan_job(const JobPlanInput& input, int ranks) {
  return JobPlanner(input, ranks).plan();
}

}  // namespace shardquant::forecast
