#include "pipeline/commands/print_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/report/memory.hpp"

namespace shardquant::commands {

namespace {

using report::bytes_text;
using report::clock_text;

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::string stage_row(const forecast::StagePlan& stage) {
  const bool computes = stage.compute_s > 0.0;
  return fmt::format(
      "  {:<10}{:>12}{:>9}{:>12}{:>12}{:>12}{:>12}{:>12}\n", stage.name,
      clock_text(mean_of(stage.busy_s)), computes ? fmt::format("{:.3f}", stage.balance()) : "-",
      clock_text(stage.moving_s), clock_text(stage.seconds()), bytes_text(stage.read_bytes),
      bytes_text(stage.write_bytes), bytes_text(stage.network_bytes));
}

std::string memory_line(const forecast::JobPlan& plan) {
  std::string line = fmt::format("  memory of a rank at most: host {} of {}",
                                 bytes_text(plan.host_bytes), bytes_text(plan.host_limit));
  if (plan.device_limit > 0) {
    line += fmt::format(", device {} of {}", bytes_text(plan.device_bytes),
                        bytes_text(plan.device_limit));
  }
  return line + '\n';
}

std::string items_json(const forecast::JobPlanInput& input,
                       const std::vector<forecast::PlannedItem>& items) {
  std::string text;
  for (const forecast::PlannedItem& item : items) {
    const auto& layer = input.layout.linear_layers[static_cast<std::size_t>(item.layer)];
    text += fmt::format(
        "{}{{\"layer\": {}, \"rank\": {}, \"options\": \"{}\", \"cost\": {:.17g}, "
        "\"seconds\": {:.6g}}}",
        text.empty() ? "" : ", ", formats::json_quote(layer.key), item.rank,
        waves::options_text(item.options), item.cost, item.seconds);
  }
  return '[' + text + ']';
}

std::string texts_json(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) {
    list += (list.empty() ? "" : ", ") + formats::json_quote(text);
  }
  return '[' + list + ']';
}

std::string stages_json(const forecast::JobPlan& plan) {
  std::string text;
  for (const forecast::StagePlan& stage : plan.stages) {
    text += fmt::format(
        "{}{{\"stage\": \"{}\", \"mean_busy_s\": {:.6g}, \"balance\": {:.6f}, \"compute_s\": "
        "{:.6g}, \"moving_s\": {:.6g}, \"seconds\": {:.6g}, \"repeated_s\": {:.6g}, "
        "\"read_bytes\": {}, \"write_bytes\": {}, \"network_bytes\": {}}}",
        text.empty() ? "" : ", ", stage.name, mean_of(stage.busy_s), stage.balance(),
        stage.compute_s, stage.moving_s, stage.seconds(), stage.repeated_s, stage.read_bytes,
        stage.write_bytes, stage.network_bytes);
  }
  return '[' + text + ']';
}

}  // namespace

std::string plan_heading(const forecast::JobPlanInput& input) {
  const model::ModelDescription& model = input.description;
  const config::RunConfig& job = input.config;
  return fmt::format(
      "model    {} {}: {} blocks, hidden {}, ffn {}, {} weights in them\n"
      "machine  {}: {}; {} rank(s) on a node\n"
      "job      {} rows of {} tokens in slices of {}, {} options, {} bits per weight, head {} "
      "bits, "
      "Hessians {}\n",
      model.family->name, model.config_file, model.layers, model.hidden_size,
      model.intermediate_size, input.layout.block_parameters(), input.profile.name,
      input.profile.about, input.profile.ranks_per_node, job.calibration.rows,
      job.calibration.length, job.calibration.slice_rows, input.format.option_count(),
      job.allocate.bpw, job.allocate.head_bits, input.keep_hessians ? "kept" : "computed again");
}

std::string plan_text(const forecast::JobPlan& plan, const config::MachineProfile& profile) {
  std::string text = fmt::format(
      "\n{} rank(s) on {} node(s): {}\n  {:<10}{:>12}{:>9}{:>12}{:>12}{:>12}{:>12}{:>12}\n",
      plan.ranks, plan.nodes(profile), clock_text(plan.seconds()), "stage", "work/rank", "balance",
      "moving", "time", "read", "written", "network");
  for (const forecast::StagePlan& stage : plan.stages) text += stage_row(stage);
  text += memory_line(plan);
  for (const auto& term : plan.memory.terms) {
    text += fmt::format("    {:<42}{:>12}{}\n", term.what, bytes_text(term.bytes),
                        term.computed_on && plan.device_limit > 0 ? "  device" : "");
  }
  text += fmt::format("  work folder {}, output {}\n", bytes_text(plan.work_folder_bytes),
                      bytes_text(plan.output_bytes));
  for (const std::string& remark : plan.remarks) text += "  note: " + remark + '\n';
  for (const std::string& complaint : plan.complaints)
    text += "  DOES NOT FIT: " + complaint + '\n';
  return text;
}

std::string plan_json(const forecast::JobPlanInput& input,
                      const std::vector<forecast::JobPlan>& plans) {
  std::string text;
  for (const forecast::JobPlan& plan : plans) {
    text += fmt::format(
        "{}  {{\"ranks\": {}, \"nodes\": {}, \"seconds\": {:.6g}, \"stages\": {}, "
        "\"host_bytes\": {}, \"host_limit\": {}, \"device_bytes\": {}, \"device_limit\": {}, "
        "\"work_folder_bytes\": {}, \"output_bytes\": {}, \"fits\": {}, \"complaints\": {}, "
        "\"remarks\": {}, \"measured\": {}, \"quantized\": {}}}",
        text.empty() ? "" : ",\n", plan.ranks, plan.nodes(input.profile), plan.seconds(),
        stages_json(plan), plan.host_bytes, plan.host_limit, plan.device_bytes, plan.device_limit,
        plan.work_folder_bytes, plan.output_bytes, plan.complaints.empty(),
        texts_json(plan.complaints), texts_json(plan.remarks), items_json(input, plan.measured),
        items_json(input, plan.quantized));
  }
  return fmt::format("{{\"model\": {}, \"machine\": {}, \"plans\": [\n{}\n]}}\n",
                     formats::json_quote(input.description.config_file),
                     formats::json_quote(input.profile.name), text);
}

std::string plan_sbatch(const forecast::JobPlan& plan, const config::MachineProfile& profile,
                        std::int64_t threads, const std::string& job) {
  const auto per_node = std::min<std::int64_t>(plan.ranks, profile.ranks_per_node);
  // The bound is one already; a tenth more for what the system counts to a job beside it.
  const double memory = 1.1 * static_cast<double>(plan.host_bytes * per_node) / kGiB;
  constexpr double kLeastMinutes = 15.0;
  const auto minutes =
      static_cast<std::int64_t>(std::ceil(std::max(2.0 * plan.seconds() / 60.0, kLeastMinutes)));
  std::string text = fmt::format(
      "#!/bin/bash\n"
      "# {}: predicted {}, of which twice is asked for. To take the place of the header of a "
      "script\n"
      "# in slurm/.\n"
      "#SBATCH --job-name=shardquant\n"
      "#SBATCH --nodes={}\n"
      "#SBATCH --ntasks={}\n"
      "#SBATCH --ntasks-per-node={}\n"
      "#SBATCH --cpus-per-task={}\n"
      "#SBATCH --mem={}G\n"
      "#SBATCH --time={:02}:{:02}:00\n",
      job, clock_text(plan.seconds()), plan.nodes(profile), plan.ranks, per_node, threads,
      static_cast<std::int64_t>(std::ceil(memory)), minutes / 60, minutes % 60);
  if (plan.device_limit > 0) text += fmt::format("#SBATCH --gpus-per-node={}\n", per_node);
  return text +
         "#SBATCH --output=%x-%j.log\n"
         "#SBATCH --requeue\n"
         "#SBATCH --open-mode=append\n"
         "#SBATCH --signal=B:USR1@300\n";
}

}  // namespace shardquant::commands
