#include "pipeline/stages/measure_model.hpp"

#include <algorithm>
#include <cmath>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/report/memory.hpp"
#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/stages/given_files.hpp"
#include "pipeline/stages/measure_sensitivity.hpp"
#include "pipeline/stages/numerical_report.hpp"
#include "pipeline/waves/factor_group.hpp"
#include "pipeline/waves/group_state.hpp"
#include "pipeline/waves/trial_weights.hpp"
#include "pipeline/waves/work_cost.hpp"
#include "pipeline/waves/work_off_groups.hpp"

namespace shardquant::stages {

namespace {

constexpr const char* kPerplexityName = "calibration";
constexpr const char* kPerplexityKind = "perplexity";

void store_perplexity(const waves::RunContext& context, double perplexity) {
  checkpoint::StateFileWriter file(context.work.measurement(kPerplexityName), kPerplexityKind,
                                   context.hessians_fingerprint);
  file.add_number("perplexity", perplexity);
  file.commit();
}

double read_perplexity(const waves::RunContext& context, const std::filesystem::path& path) {
  return checkpoint::StateFileReader(path, kPerplexityKind, context.hessians_fingerprint)
      .number("perplexity");
}

// The perplexity of an earlier run, or of the one whose Hessians this one uses, which becomes this
// one's own; on root; NaN on the others and where there is none.
double stored_perplexity(const waves::RunContext& context) {
  if (!context.comm.is_root()) return std::nan("");
  const std::string& run = context.hessians_fingerprint;
  const bool borrows = context.work.borrows_measurement();
  const auto path = context.work.measurement(kPerplexityName);
  if (waves::is_usable_state(path, kPerplexityKind, run, borrows))
    return read_perplexity(context, path);
  const auto other =
      checkpoint::WorkFolder(context.work.hessians_in()).measurement(kPerplexityName);
  if (!waves::is_usable_state(other, kPerplexityKind, run, true)) return std::nan("");
  const double perplexity = read_perplexity(context, other);
  if (!borrows) store_perplexity(context, perplexity);
  return perplexity;
}

// What is still to be done.
struct Missing {
  std::vector<bool> options;  // to be measured, by layer * options + option; none of the head
  std::vector<bool> groups;   // with such an option
  std::vector<bool> kept;     // groups whose Hessians are in the work folder
  std::vector<bool> store;    // groups whose Hessians are to be there
  std::vector<std::int64_t> trials;  // by layer: the option it is also to be quantized with, or -1
  std::int64_t measured = 0;         // layers of which nothing is
};

std::size_t flag_of(const waves::RunContext& context, std::int64_t layer, std::int64_t option) {
  return static_cast<std::size_t>(layer * context.format.option_count() + option);
}

// Whether all options of the layer that exist are flagged, or none of them.
bool all_options(const waves::RunContext& context, const std::vector<bool>& flags,
                 std::int64_t layer, bool value) {
  const auto options =
      weights::existing_options(context.format, model::shape_of(context.model.layer(layer)));
  return std::all_of(options.begin(), options.end(), [&](std::int64_t option) {
    return flags[flag_of(context, layer, option)] == value;
  });
}

Missing find_missing(const waves::RunContext& context, bool keep_hessians) {
  std::vector<bool> measured = waves::find_measured_options(context);
  if (!context.config.measure.file.empty()) measured.assign(measured.size(), true);
  const auto head = static_cast<std::size_t>(context.model.layout.head_group);
  const bool head_is_quantized =
      weights::head_option(context.format, context.config.allocate.head_bits).has_value();
  Missing missing;
  // With a borrowed measurement nothing is measured here.
  missing.kept = context.work.borrows_measurement()
                     ? std::vector<bool>(context.model.layout.groups.size())
                     : waves::find_kept_hessians(context);
  missing.trials = wanted_trials(context);
  missing.options.resize(measured.size());
  missing.groups.resize(missing.kept.size());
  missing.store.resize(missing.kept.size());
  for (std::size_t g = 0; g < missing.groups.size(); ++g) {
    missing.store[g] =
        keep_hessians && !context.work.borrows_hessians() && (g != head || head_is_quantized);
    if (g == head) continue;
    for (const std::int64_t layer : context.model.group(static_cast<std::int64_t>(g)).layers) {
      for (std::int64_t o = 0; o < context.format.option_count(); ++o) {
        missing.options[flag_of(context, layer, o)] = !measured[flag_of(context, layer, o)];
      }
      const bool whole = all_options(context, measured, layer, true);
      const std::int64_t trial = missing.trials[static_cast<std::size_t>(layer)];
      if (trial >= 0) missing.options[flag_of(context, layer, trial)] = true;
      missing.groups[g] = missing.groups[g] || !whole || trial >= 0;
      missing.measured += whole;
    }
  }
  return missing;
}

// A borrowed measurement is used as it is.
void require_complete(const waves::RunContext& context, const Missing& missing,
                      bool need_perplexity) {
  const std::int64_t layers = context.model.layout.block_layers();
  if (missing.measured == layers && !need_perplexity) return;
  comm::on_root(context.comm, [&] {
    fail(ExitCode::no_input,
         "{}: holds whole measurements of {} of {} layers{}; let the job of that folder measure "
         "(`shardquant measure`) to its end first (work.measured_in)",
         context.work.measured_in().string(), missing.measured, layers,
         need_perplexity ? " and no perplexity" : "");
  });
}

// layer_measured: of all options of a layer, as one rank measured them or root put them together;
// options_measured: of a part.
void write_event(const waves::RunContext& context, const waves::MeasuredLayer& record) {
  context.events.write(record.is_part() ? "options_measured" : "layer_measured", "measure",
                       {{"layer", context.model.layer(record.layer).key},
                        {"rank", context.comm.rank()},
                        {"options", waves::options_text(record.options)},
                        {"dur_s", record.seconds},
                        {"cost", record.cost},
                        {"damp", record.damp},
                        {"damping_tries", record.damping_tries},
                        {"factor", waves::factor_method_name(record.method)},
                        {"dead_inputs", record.dead_inputs}});
}

// The layer's record of all options, put together from parts: those of this run, and those that an
// earlier one left. It takes their place in the work folder, unless that is another job's.
waves::MeasuredLayer whole_record(const waves::RunContext& context, std::int64_t layer,
                                  std::vector<waves::MeasuredLayer> parts) {
  for (waves::MeasuredLayer& part : waves::load_measured_parts(context, layer))
    parts.push_back(std::move(part));
  std::vector<bool> have(flag_of(context, std::ssize(context.model.layout.linear_layers), 0));
  for (const waves::MeasuredLayer& part : parts) {
    for (const std::int64_t option : part.options) have[flag_of(context, layer, option)] = true;
  }
  if (!all_options(context, have, layer, true)) {
    fail(ExitCode::internal, "{}: not all of its options were measured",
         context.model.layer(layer).key);
  }
  waves::MeasuredLayer record = waves::merge_parts(parts);
  if (context.work.borrows_measurement()) return record;  // left as parts where it is
  waves::save_measurement(context, record);
  waves::remove_measured_parts(context, layer);
  write_event(context, record);
  return record;
}

// All records, by layer, on root: new ones from the ranks that made them, old ones from the files.
// balance: gets what each rank measured, on root.
std::vector<waves::MeasuredLayer> gather_records(const waves::RunContext& context,
                                                 const std::vector<waves::MeasuredLayer>& mine,
                                                 Balance& balance) {
  std::vector<std::byte> bytes;
  for (const waves::MeasuredLayer& record : mine) {
    const auto part = record.to_bytes();
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  const auto gathered = context.comm.gather(bytes);
  if (!context.comm.is_root()) return {};
  const auto layers = static_cast<std::size_t>(context.model.layout.block_layers());
  std::vector<std::vector<waves::MeasuredLayer>> found(layers);
  for (std::size_t rank = 0; rank < gathered.size(); ++rank) {
    std::span<const std::byte> left = gathered[rank];
    while (!left.empty()) {
      waves::MeasuredLayer record = waves::MeasuredLayer::from_bytes(left);
      balance.add(static_cast<int>(rank), record.seconds, record.cost);
      found[static_cast<std::size_t>(record.layer)].push_back(std::move(record));
    }
  }
  std::vector<waves::MeasuredLayer> records;
  for (std::size_t l = 0; l < layers; ++l) {
    const auto layer = static_cast<std::int64_t>(l);
    const bool has_whole = found[l].size() == 1 && !found[l].front().is_part();
    if (has_whole) {
      records.push_back(std::move(found[l].front()));
    } else if (waves::has_measurement(context, layer)) {
      records.push_back(waves::load_measurement(context, layer));
      // One option was measured again, for the sake of the weight it gives.
      if (!found[l].empty()) waves::remove_measured_parts(context, layer);
    } else {
      records.push_back(whole_record(context, layer, std::move(found[l])));
    }
  }
  return records;
}

records::LayerMeasurement layer_measurement(const waves::RunContext& context, std::int64_t layer,
                                            std::span<const double> err) {
  const weights::LayerShape shape = model::shape_of(context.model.layer(layer));
  records::LayerMeasurement measured{shape.key, shape.parameters(), {}, {}, {}};
  for (const std::int64_t option : weights::existing_options(context.format, shape)) {
    measured.options.push_back(records::measured_option(
        context.format.option_text(option), context.format.counted_bits(option, shape),
        shape.parameters(), err[static_cast<std::size_t>(option)],
        context.format.option_recipe(option)));
  }
  return measured;
}

records::Measurement to_measurement(const waves::RunContext& context,
                                    const std::vector<waves::MeasuredLayer>& records,
                                    double perplexity) {
  records::Measurement measurement;
  for (const waves::MeasuredLayer& record : records) {
    measurement.layers.push_back(layer_measurement(context, record.layer, record.err));
  }
  measurement.last_module_idx = static_cast<int>(2 * context.model.description.layers + 2);
  measurement.base_perplexity = perplexity;
  measurement.extra["err_norm"] = '"' + context.config.measure.err_norm + '"';
  return measurement;
}

}  // namespace

double cost_of_later_stages(const waves::RunContext& context, bool keep_hessians) {
  const model::ModelLayout& layout = context.model.layout;
  const std::vector<bool> every_layer(layout.linear_layers.size(), true);
  double cost = evaluation_cost(context);
  for (const model::HessianGroup& group : layout.groups) {
    const waves::GroupUnits units = waves::quantize_units(layout, group, every_layer);
    cost += waves::operations_of(units.work(0, units.count()));
  }
  for (std::int64_t block = 0; block < context.model.description.layers && !keep_hessians;
       ++block) {
    cost += waves::operations_of(waves::block_work(
        layout, block, context.slices.rows * context.slices.length, context.slices.length));
  }
  return cost;
}

bool decide_keep_hessians(const waves::RunContext& context) {
  if (context.work.borrows_hessians()) return false;  // those that are there are used
  if (context.config.quantize.hessians != "auto") {
    return context.config.quantize.hessians == "keep";
  }
  std::int64_t keep = 0;
  if (context.comm.is_root()) {
    std::int64_t bytes = 0;
    for (const model::HessianGroup& group : context.model.layout.groups) {
      bytes += waves::PackedHessian::bytes(group.inputs);
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

MeasuredModel measure_model(const waves::RunContext& context, bool keep_hessians) {
  const bool given = !context.config.measure.file.empty();
  const Missing missing = find_missing(context, keep_hessians);
  double perplexity = stored_perplexity(context);
  const bool need_perplexity =
      !given && context.comm.max(context.comm.is_root() && std::isnan(perplexity)) != 0;
  const std::int64_t layers = context.model.layout.block_layers();
  if (context.work.borrows_measurement()) require_complete(context, missing, need_perplexity);
  if (given) {
    context.log.line("measure", "measured by " + context.config.measure.file.string());
  } else if (missing.measured > 0) {
    context.log.line("measure",
                     fmt::format("{} of {} layers measured by {}", missing.measured, layers,
                                 context.work.borrows_measurement()
                                     ? "the job in " + context.work.measured_in().string()
                                     : "an earlier run"));
  }

  std::vector<waves::MeasuredLayer> mine;
  waves::GroupWork work;
  work.stage = "measure";
  work.wanted = missing.groups;
  work.kept = missing.kept;
  work.store = missing.store;
  work.sketches = context.config.measure.norm() == config::ErrNorm::row_mean;
  work.perplexity = need_perplexity;
  work.units = [&](const model::HessianGroup& group) {
    return waves::measure_units(context.model.layout, group, context.format, missing.options);
  };
  work.later_cost = sensitivity_cost(context) + cost_of_later_stages(context, keep_hessians);
  const waves::TrialRequest trials{
      missing.trials, [&](std::int64_t layer, const kernels::QuantizedMatrix& matrix, auto perm) {
        waves::save_trial_weight(context, layer, matrix, perm);
      }};
  work.work = [&](const waves::GroupPart& part, const waves::CalibratedGroup& calibrated) {
    const waves::MeasureSettings settings{
        context.format,
        waves::settings_for_group(context.model, part.group, context.format, context.settings),
        context.config.measure.norm(), &trials};
    return waves::measure_group(
        context.backend, context.model, calibrated, settings,
        work.units(context.model.group(part.group)), part, [&](const waves::MeasuredLayer& record) {
          waves::save_measurement(context, record);
          waves::require_rtn_allowed(context.model, part.group, record.method,
                                     context.config.quantizer.max_rtn_layers);
          write_event(context, record);
          mine.push_back(record);
          context.control.note_layer(record.seconds);
          return !context.control.should_stop();
        });
  };
  context.events.write("phase_start", "measure");
  const auto measured = waves::work_off_groups(context, work);
  if (measured) perplexity = *measured;
  if (need_perplexity && context.comm.is_root()) store_perplexity(context, perplexity);

  Balance balance("measure", context.comm.size());
  std::vector<waves::MeasuredLayer> records;
  comm::on_all(context.comm, [&] {
    if (!given) records = gather_records(context, mine, balance);
  });
  if (context.collector != nullptr) context.collector->collect();
  comm::on_root(context.comm, [&] {
    require_rtn_within_limit(context.model, records, context.config.quantizer.max_rtn_layers);
  });
  report_balance(context, balance);
  context.events.write("phase_end", "measure");
  if (!context.comm.is_root()) return {};
  if (given) {
    GivenMeasurement file = read_given_measurement(context);
    checkpoint::write_durably(context.work.measurement(), file.text);
    return {std::move(file.measurement), {}, balance};
  }
  records::Measurement measurement = to_measurement(context, records, perplexity);
  checkpoint::write_durably(context.work.measurement(),
                            records::measurement_2023_text(measurement));
  return {std::move(measurement), std::move(records), balance};
}

}  // namespace shardquant::stages
