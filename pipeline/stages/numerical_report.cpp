#include "pipeline/stages/numerical_report.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"

namespace shardquant::stages {

namespace {

using kernels::FactorMethod;

// "a, b, c and 4 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

// Layers in the order of the model: those of a group follow each other.
void add_once(std::vector<std::string>& names, const std::string& name) {
  if (names.empty() || names.back() != name) names.push_back(name);
}

const model::HessianGroup& group_of(const model::SourceModel& model,
                                    const waves::MeasuredLayer& record) {
  return model.group(model.layer(record.layer).group);
}

std::vector<std::string> rounded_groups(const model::SourceModel& model,
                                        const std::vector<waves::MeasuredLayer>& records,
                                        std::int64_t& layers) {
  std::vector<std::string> names;
  layers = 0;
  for (const waves::MeasuredLayer& record : records) {
    if (record.method != FactorMethod::identity) continue;
    add_once(names, group_of(model, record).name);
    ++layers;
  }
  return names;
}

// Of the options chosen.
std::int64_t flushed_groups(const std::vector<waves::MeasuredLayer>& records,
                            const output::LayerOptions& options) {
  std::int64_t flushed = 0;
  for (const waves::MeasuredLayer& record : records) {
    const auto& option = options[static_cast<std::size_t>(record.layer)];
    if (option) flushed += record.flushed_groups[static_cast<std::size_t>(*option)];
  }
  return flushed;
}

}  // namespace

std::vector<std::string> numerical_summary(const model::SourceModel& model,
                                           const std::vector<waves::MeasuredLayer>& records,
                                           const output::LayerOptions* options) {
  std::vector<std::string> raised;
  std::vector<std::string> wide;
  std::vector<std::string> with_dead;
  std::int64_t dead = 0;
  std::int64_t groups = 0;
  std::int64_t last = -1;
  for (const waves::MeasuredLayer& record : records) {
    const model::HessianGroup& group = group_of(model, record);
    if (group.index == last) continue;
    last = group.index;
    ++groups;
    if (record.method == FactorMethod::fp64) wide.push_back(group.name);
    if (record.method == FactorMethod::fp32 && record.damping_tries > 1) {
      raised.push_back(
          fmt::format("{} (x{})", group.name, std::int64_t{1} << (record.damping_tries - 1)));
    }
    if (record.dead_inputs > 0) with_dead.push_back(group.name);
    dead += record.dead_inputs;
  }
  std::int64_t rounded_layers = 0;
  const auto rounded = rounded_groups(model, records, rounded_layers);
  const std::int64_t flushed = options ? flushed_groups(records, *options) : 0;

  std::vector<std::string> lines;
  const auto add = [&](const std::vector<std::string>& names, const std::string& what) {
    if (!names.empty()) lines.push_back(what + ": " + listed(names));
  };
  add(rounded, fmt::format("warning: {} layer(s) rounded to nearest, for want of a Hessian that "
                           "can be factored, in {} group(s)",
                           rounded_layers, rounded.size()));
  add(wide, fmt::format("{} Hessian(s) factored in fp64", wide.size()));
  add(raised, fmt::format("{} Hessian(s) factored with more damping", raised.size()));
  add(with_dead, fmt::format("{} input(s) always zero, in {} group(s)", dead, with_dead.size()));
  if (flushed > 0) {
    lines.push_back(
        fmt::format("{} group(s) of weights so small that they are stored as zero", flushed));
  }
  if (lines.empty()) {
    lines.push_back(fmt::format("all {} Hessians factored with the damping asked for", groups));
  }
  return lines;
}

void report_numerics(const waves::RunContext& context,
                     const std::vector<waves::MeasuredLayer>& records,
                     const output::LayerOptions* options) {
  if (!context.comm.is_root()) return;
  for (const std::string& line : numerical_summary(context.model, records, options)) {
    context.log.line("numerics", line);
    context.events.write("numerics", "end", {{"msg", line}});
  }
}

void require_rtn_within_limit(const model::SourceModel& model,
                              const std::vector<waves::MeasuredLayer>& records,
                              std::int64_t max_rtn_layers) {
  std::int64_t layers = 0;
  const auto names = rounded_groups(model, records, layers);
  if (layers <= max_rtn_layers) return;
  fail(
      ExitCode::bad_data,
      "{} layers would be rounded to nearest, and quantizer.max_rtn_layers allows {}: the Hessians "
      "of {} cannot be factored with any damping; calibrate with more rows, raise "
      "quantizer.damping, or allow it",
      layers, max_rtn_layers, listed(names));
}

}  // namespace shardquant::stages
