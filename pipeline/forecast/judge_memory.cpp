#include "pipeline/forecast/judge_memory.hpp"

#include <algorithm>

#include "pipeline/evaluation/evaluation_cost.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/waves/sum_over_slices.hpp"

namespace shardquant::forecast {

namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

// Fewer calibration rows on a rank, where those that are left fit: by more ranks, or fewer rows.
// Slices stay whole. Empty where hidden states are not what is too much.
std::string fewer_rows(const JobPlanInput& input, int ranks, std::int64_t over) {
  const config::RunConfig::Calibration& rows = input.config.calibration;
  const waves::Slices slices{rows.rows, rows.slice_rows, rows.length};
  constexpr std::int64_t kFloat = 4;
  const std::int64_t slice_bytes =
      rows.slice_rows * rows.length * input.description.hidden_size * kFloat;
  const std::int64_t held = slices.rounds(ranks);
  const std::int64_t fit = held - (over + slice_bytes - 1) / slice_bytes;
  if (fit < 1) return "";
  return fmt::format(
      "it fits with {} slice(s) on a rank instead of {}: --ranks {} or more, or "
      "calibration.rows {} or fewer",
      fit, held, (slices.count() + fit - 1) / fit, fit * rows.slice_rows * ranks);
}

std::string fewer_ranks_on_node(const JobPlan& plan, double host_gib) {
  const auto most = static_cast<std::int64_t>(
      host_gib * kGiB / static_cast<double>(std::max<std::int64_t>(plan.host_bytes, 1)));
  return most < 1 ? "" : fmt::format("it fits with at most {} rank(s) on a node", most);
}

std::string either(const std::string& one, const std::string& other, const std::string& neither) {
  if (one.empty() && other.empty()) return neither;
  return one + (one.empty() || other.empty() ? "" : "; ") + other;
}

}  // namespace

void judge_memory(const JobPlanInput& input, JobPlan& plan) {
  const config::MachineProfile& profile = input.profile;
  plan.memory =
      plan_memory(input.description, input.layout, input.format, input.config, plan.ranks);
  const bool has_device = profile.device_gib > 0.0;
  // `auto` loads them to look for a device.
  if (has_device || input.config.device.kind != "cpu") plan.memory.add_cuda_libraries();
  plan.device_bytes = has_device ? plan.memory.device_bytes() : 0;
  plan.host_bytes = plan.memory.bytes() - plan.device_bytes;
  const auto on_node = std::min<std::int64_t>(plan.ranks, profile.ranks_per_node);
  plan.host_limit =
      static_cast<std::int64_t>(profile.host_gib * kGiB / static_cast<double>(on_node));
  plan.device_limit = static_cast<std::int64_t>(profile.device_gib * kGiB);

  if (has_device && plan.device_bytes > plan.device_limit) {
    const std::string fewer = fewer_rows(input, plan.ranks, plan.device_bytes - plan.device_limit);
    plan.complaints.push_back(fmt::format(
        "device memory: {} needed, {} there; {}", report::bytes_text(plan.device_bytes),
        report::bytes_text(plan.device_limit),
        either(fewer, "", "a block of this model needs a larger device, whatever the settings")));
  }
  if (plan.host_bytes > plan.host_limit) {
    const std::string fewer =
        has_device ? "" : fewer_rows(input, plan.ranks, plan.host_bytes - plan.host_limit);
    plan.complaints.push_back(fmt::format(
        "host memory: {} needed for a rank, {} there ({} rank(s) on a node of {} GiB); {}",
        report::bytes_text(plan.host_bytes), report::bytes_text(plan.host_limit), on_node,
        profile.host_gib,
        either(fewer, fewer_ranks_on_node(plan, profile.host_gib),
               "a block of this model needs a larger node, whatever the settings")));
  }
}

}  // namespace shardquant::forecast
