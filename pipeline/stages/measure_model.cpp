#include "pipeline/stages/measure_model.hpp"

#include <chrono>
#include <cmath>
#include <optional>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/stages/calibrate.hpp"
#include "pipeline/stages/factor_group.hpp"
#include "pipeline/stages/group_state.hpp"
#include "pipeline/stages/numerical_report.hpp"
#include "pipeline/stages/quantize_layer.hpp"
#include "pipeline/stages/work_cost.hpp"

namespace shardquant::stages {

namespace {

constexpr const char* kPerplexityName = "calibration";
constexpr const char* kPerplexityKind = "perplexity";

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cost_of(const RunContext& context, const model::HessianGroup& group) {
  return measure_cost(context.model.layout, group, std::ssize(context.options));
}

ErrNorm err_norm(const RunContext& context) {
  return context.config.measure.err_norm == "row_mean" ? ErrNorm::row_mean : ErrNorm::pooled;
}

// The perplexity of an earlier run, on root; NaN on the others and where there is none.
double stored_perplexity(const RunContext& context) {
  if (!context.comm.is_root()) return std::nan("");
  const auto path = context.work.measurement(kPerplexityName);
  if (!checkpoint::state_file_is_valid(path, kPerplexityKind, context.fingerprint)) {
    return std::nan("");
  }
  return checkpoint::StateFileReader(path, kPerplexityKind, context.fingerprint)
      .number("perplexity");
}

void store_perplexity(const RunContext& context, double perplexity) {
  checkpoint::StateFileWriter file(context.work.measurement(kPerplexityName), kPerplexityKind,
                                   context.fingerprint);
  file.add_number("perplexity", perplexity);
  file.commit();
}

struct Missing {
  std::vector<bool> measurement;  // by group; never of the head, which has one recipe
  std::vector<bool> hessian;
  std::vector<bool> either;
  bool any = false;
};

Missing find_missing(const RunContext& context, bool keep_hessians) {
  const std::vector<bool> measured = find_complete(context, GroupFile::measurement);
  const std::vector<bool> kept = find_complete(context, GroupFile::hessian);
  const auto head = static_cast<std::size_t>(context.model.head_group());
  const bool head_is_quantized = context.config.allocate.head_bits < 16;
  Missing missing;
  for (std::size_t g = 0; g < measured.size(); ++g) {
    missing.measurement.push_back(g != head && !measured[g]);
    missing.hessian.push_back(keep_hessians && !kept[g] && (g != head || head_is_quantized));
    missing.either.push_back(missing.measurement[g] || missing.hessian[g]);
    missing.any = missing.any || missing.either[g];
  }
  return missing;
}

GroupMeasurement measure_and_save(const RunContext& context, const model::HessianGroup& group,
                                  const CalibratedGroup& calibrated) {
  const double begin = seconds_now();
  GroupMeasurement record = measure_group(
      context.backend, context.model, group.index, calibrated, context.options,
      settings_for_group(context.model, group.index, context.settings), err_norm(context));
  record.seconds = seconds_now() - begin;
  save_measurement(context, record);
  require_rtn_allowed(context.model, group.index, record.method,
                      context.config.quantizer.max_rtn_layers);
  return record;
}

// All records, by group, on root: new ones from the ranks that made them, old ones from the files.
std::vector<GroupMeasurement> gather_records(const RunContext& context,
                                             const std::vector<GroupMeasurement>& mine,
                                             const std::vector<bool>& is_new) {
  std::vector<std::byte> bytes;
  for (const GroupMeasurement& record : mine) {
    const auto part = record.to_bytes();
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  const auto parts = context.comm.gather(bytes);
  if (!context.comm.is_root()) return {};
  std::vector<GroupMeasurement> records(is_new.size());
  std::vector<bool> filled(is_new.size());
  int rank = 0;
  for (const auto& part : parts) {
    std::span<const std::byte> left = part;
    while (!left.empty()) {
      GroupMeasurement record = GroupMeasurement::from_bytes(left);
      const auto group = static_cast<std::size_t>(record.group);
      context.events.write("group_measured", "measure",
                           {{"group", context.model.group(record.group).name},
                            {"rank", rank},
                            {"cost", cost_of(context, context.model.group(record.group))},
                            {"dur_s", record.seconds},
                            {"damp", record.damp},
                            {"damping_tries", record.damping_tries},
                            {"factor", factor_method_name(record.method)},
                            {"dead_inputs", record.dead_inputs}});
      filled[group] = true;
      records[group] = std::move(record);
    }
    ++rank;
  }
  for (std::int64_t g = 0; g < context.model.head_group(); ++g) {
    const auto index = static_cast<std::size_t>(g);
    if (!filled[index]) records[index] = load_measurement(context, g);
  }
  return records;
}

formats::LayerMeasurement layer_measurement(const RunContext& context, std::int64_t layer,
                                            std::span<const double> err) {
  const model::LinearLayer& info = context.model.layer(layer);
  formats::LayerMeasurement measured{info.key, info.parameters(), {}, {}, {}};
  for (std::size_t i = 0; i < context.options.size(); ++i) {
    const kernels::QuantOption& option = context.options[i];
    const auto groups = kernels::cut_into_groups(option, info.inputs);
    if (groups.empty()) continue;
    measured.options.push_back(formats::measured_option(
        kernels::describe(option), kernels::measured_bits(groups, info.outputs), info.parameters(),
        err[i], {option.group_size, option.bits, option.proportions, option.scale_bits}));
  }
  return measured;
}

formats::Measurement to_measurement(const RunContext& context,
                                    const std::vector<GroupMeasurement>& records,
                                    double perplexity) {
  const auto& layers = context.model.layout.linear_layers;
  formats::Measurement measurement;
  measurement.layers.resize(layers.size() - 1);
  for (std::int64_t g = 0; g < context.model.head_group(); ++g) {
    const GroupMeasurement& record = records[static_cast<std::size_t>(g)];
    const auto& members = context.model.group(g).layers;
    for (std::size_t row = 0; row < members.size(); ++row) {
      const auto err =
          std::span(record.err).subspan(row * context.options.size(), context.options.size());
      measurement.layers[static_cast<std::size_t>(members[row])] =
          layer_measurement(context, members[row], err);
    }
  }
  measurement.last_module_idx = static_cast<int>(2 * context.model.description.layers + 2);
  measurement.base_perplexity = perplexity;
  measurement.extra["err_norm"] = '"' + context.config.measure.err_norm + '"';
  return measurement;
}

}  // namespace

bool decide_keep_hessians(const RunContext& context) {
  if (context.config.quantize.hessians != "auto") {
    return context.config.quantize.hessians == "keep";
  }
  std::int64_t keep = 0;
  if (context.comm.is_root()) {
    std::int64_t bytes = 0;
    for (const model::HessianGroup& group : context.model.layout.groups) {
      bytes += PackedHessian::bytes(group.inputs);
    }
    const std::int64_t free = context.work.free_bytes();
    keep = bytes <= free / 2;
    context.log.line(
        "measure", fmt::format("Hessians {} ({}, {} free in the work folder)",
                               keep ? "kept for the quantize stage" : "computed again to quantize",
                               report::bytes_text(bytes), report::bytes_text(free)));
  }
  return context.comm.max(keep) != 0;
}

formats::Measurement measure_model(const RunContext& context, bool keep_hessians) {
  const Missing missing = find_missing(context, keep_hessians);
  double perplexity = stored_perplexity(context);
  const bool need_perplexity =
      context.comm.max(context.comm.is_root() && std::isnan(perplexity)) != 0;

  std::vector<GroupMeasurement> mine;
  if (missing.any || need_perplexity) {
    context.events.write("phase_start", "measure");
    const auto groups = static_cast<std::int64_t>(missing.either.size());
    std::int64_t wanted = 0;
    double total = 0.0;
    for (std::int64_t g = 0; g < groups; ++g) {
      if (!missing.either[static_cast<std::size_t>(g)]) continue;
      ++wanted;
      total += cost_of(context, context.model.group(g));
    }
    std::optional<report::Progress> progress;
    if (context.comm.is_root()) progress.emplace(context.log, "measure", wanted, total);
    CalibrationRequest request;
    request.wanted = missing.either;
    request.sketches = err_norm(context) == ErrNorm::row_mean;
    request.perplexity = need_perplexity;
    request.cost = [&](const model::HessianGroup& group) { return cost_of(context, group); };
    request.wave_done = [&](const Wave& wave) {
      if (!progress) return;
      for (const std::int64_t g : wave.groups)
        progress->advance(cost_of(context, context.model.group(g)));
    };
    const auto consume = [&](const model::HessianGroup& group, const CalibratedGroup& calibrated) {
      const auto g = static_cast<std::size_t>(group.index);
      if (missing.hessian[g]) save_hessian(context, group.index, calibrated);
      if (missing.measurement[g]) mine.push_back(measure_and_save(context, group, calibrated));
    };
    const auto measured = calibrate(context, request, consume);
    if (measured) perplexity = *measured;
    if (need_perplexity && context.comm.is_root()) store_perplexity(context, perplexity);
    if (progress) progress->finish();
    context.events.write("phase_end", "measure");
  } else {
    context.log.line("measure", "all groups measured by an earlier run");
  }

  const auto records = gather_records(context, mine, missing.measurement);
  comm::on_root(context.comm, [&] {
    require_rtn_within_limit(context.model, records, context.config.quantizer.max_rtn_layers);
  });
  if (!context.comm.is_root()) return {};
  formats::Measurement measurement = to_measurement(context, records, perplexity);
  checkpoint::write_durably(context.work.measurement(),
                            formats::measurement_2023_text(measurement));
  return measurement;
}

}  // namespace shardquant::stages
