#include "pipeline/stages/measure_sensitivity.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/overlaid_weights.hpp"
#include "pipeline/report/progress.hpp"
#include "pipeline/report/progress_ticker.hpp"
#include "pipeline/waves/perturbed_forward.hpp"
#include "pipeline/waves/trial_weights.hpp"

namespace shardquant::stages {

namespace {

using waves::SensitivityUnit;

// What one rank found, in a form that is sent.
struct LayerFigure {
  std::int64_t layer = 0;
  double kl = 0.0;
};

double cost_of(const waves::RunContext& context, const SensitivityUnit& unit) {
  return waves::operations_of(waves::sensitivity_work(context.model.layout, unit,
                                                      waves::sensitivity_tokens(context.config)));
}

double base_cost(const waves::RunContext& context) {
  return waves::operations_of(waves::sensitivity_base_work(
      context.model.layout, waves::sensitivity_tokens(context.config)));
}

std::int64_t option_of(const waves::RunContext& context, std::int64_t layer) {
  return waves::trial_option(context.format, context.config.sensitivity.option,
                             model::shape_of(context.model.layer(layer)));
}

// Indices of the missing units that fall to this rank, ascending.
std::vector<std::int64_t> own_units(const waves::RunContext& context,
                                    const std::vector<bool>& known) {
  const std::vector<int> owners = waves::deal_sensitivity_units(
      context.model.layout, context.config, context.comm.size(), known);
  std::vector<std::int64_t> own;
  for (std::size_t u = 0; u < owners.size(); ++u) {
    if (owners[u] == context.comm.rank()) own.push_back(static_cast<std::int64_t>(u));
  }
  return own;
}

// This rank's units, pass after pass, with what is shown of it on root.
class OwnPasses {
 public:
  OwnPasses(const waves::RunContext& context, const std::vector<SensitivityUnit>& units,
            std::vector<std::int64_t> own, double later_cost)
      : context_(context),
        units_(units),
        own_(std::move(own)),
        step_(waves::units_of_pass(context.model.description,
                                   waves::sensitivity_tokens(context.config))) {
    if (!context.comm.is_root() || own_.empty()) return;
    double cost = 0.0;
    for (std::int64_t first = 0; first < std::ssize(own_); first += step_) {
      cost += cost_of_pass(first);
    }
    progress_.emplace(context.log, "sensitivity", std::ssize(own_), cost);
    progress_->set_unit(context.config.sensitivity.per + 's');
    progress_->set_events(context.events);
    // This rank works at its own share, and so it does at what follows.
    progress_->set_later_cost(later_cost * cost / sensitivity_cost(context));
    ticker_.emplace(*progress_);
  }

  std::vector<LayerFigure> run() {
    if (own_.empty()) return {};
    const model::FolderWeights source(context_.model.layout, context_.model.tensors);
    const model::OverlaidWeights trials(source, [&](kernels::Backend& backend, std::int64_t layer) {
      return waves::load_trial_weight(context_, backend, layer);
    });
    waves::PerturbedForward forward(context_, units_, source, trials);
    for (std::int64_t first = 0; first < std::ssize(own_); first += step_) {
      const std::int64_t end = first + step_;
      const std::int64_t next =
          end < std::ssize(own_) ? unit(own_[static_cast<std::size_t>(end)]).block : -1;
      const bool done = forward.run_pass(pass_at(first), next, [&](double operations) {
        if (progress_) progress_->begin_items(operations);
      });
      if (!done) break;
      if (progress_) progress_->complete(std::ssize(pass_at(first)), cost_of_pass(first));
    }
    std::vector<LayerFigure> figures;
    for (const waves::UnitSensitivity& found : forward.found()) {
      for (std::size_t i = 0; i < found.kl.size(); ++i) {
        figures.push_back({unit(found.unit).layers[i], found.kl[i]});
      }
    }
    return figures;
  }

 private:
  const SensitivityUnit& unit(std::int64_t index) const {
    return units_[static_cast<std::size_t>(index)];
  }
  std::span<const std::int64_t> pass_at(std::int64_t first) const {
    const std::int64_t count = std::min(step_, std::ssize(own_) - first);
    return std::span(own_).subspan(static_cast<std::size_t>(first),
                                   static_cast<std::size_t>(count));
  }
  double cost_of_pass(std::int64_t first) const {
    double cost = base_cost(context_);
    for (const std::int64_t index : pass_at(first)) cost += cost_of(context_, unit(index));
    return cost;
  }

  const waves::RunContext& context_;
  const std::vector<SensitivityUnit>& units_;
  std::vector<std::int64_t> own_;
  std::int64_t step_;
  std::optional<report::Progress> progress_;
  std::optional<report::ProgressTicker> ticker_;
};

// A borrowed measurement is used as it is.
void require_complete(const waves::RunContext& context, const std::vector<bool>& known) {
  const auto there = std::count(known.begin(), known.end(), true);
  if (there == std::ssize(known)) return;
  comm::on_root(context.comm, [&] {
    fail(ExitCode::no_input,
         "{}: holds {} of {} sensitivities of these settings; let the job of that folder measure "
         "them (`shardquant measure` with allocate.objective kl and the same section sensitivity), "
         "or take another allocate.objective, as sum_squares",
         context.work.measured_in().string(), there, known.size());
  });
}

// What only these figures needed; all ranks are through.
void remove_what_led_there(const waves::RunContext& context,
                           const std::vector<SensitivityUnit>& units) {
  waves::remove_trial_weights(context);
  if (!context.comm.is_root()) return;
  for (const SensitivityUnit& unit : units) waves::remove_copy(context, unit.name);
  for (std::int64_t block = 0; block <= context.model.description.layers; ++block) {
    waves::remove_copy(context, waves::base_name(block));
  }
}

double err_of(const waves::RunContext& context, const records::LayerMeasurement& measured,
              std::int64_t layer) {
  const std::string name = context.format.option_text(option_of(context, layer));
  for (const records::MeasuredOption& option : measured.options) {
    if (option.desc == name) return option.err;
  }
  fail(ExitCode::internal, "{}: was not measured at {}", measured.key, name);
}

// kl by layer; on root.
void put_into(const waves::RunContext& context, const std::vector<double>& kl,
              records::Measurement& measurement) {
  constexpr double kLeastKl = 1e-7;
  constexpr double kLeastErr = 1e-3;  // an option of few bits loses less only where nothing matters
  for (std::size_t l = 0; l < measurement.layers.size(); ++l) {
    records::LayerMeasurement& measured = measurement.layers[l];
    const double err = std::max(err_of(context, measured, static_cast<std::int64_t>(l)), kLeastErr);
    measured.kl = kl[l];
    measured.sensitivity = std::max(kl[l], kLeastKl) / (err * err);
    context.events.write(
        "layer_sensitivity", "sensitivity",
        {{"layer", measured.key}, {"kl", kl[l]}, {"sensitivity", *measured.sensitivity}});
  }
}

void log_range(const waves::RunContext& context, const records::Measurement& measurement) {
  const auto [least, most] = std::minmax_element(
      measurement.layers.begin(), measurement.layers.end(),
      [](const auto& a, const auto& b) { return *a.sensitivity < *b.sensitivity; });
  context.log.line("sensitivity",
                   fmt::format("KL per squared error from {:.3g} ({}) to {:.3g} ({})",
                               *least->sensitivity, least->key, *most->sensitivity, most->key));
}

}  // namespace

void check_sensitivity(const waves::RunContext& context) {
  if (context.config.wants_sensitivities()) {
    comm::on_root(context.comm, [&] { option_of(context, 0); });
  } else if (context.config.objective() != context.config.allocate.objective) {
    context.log.line("sensitivity",
                     fmt::format("not measured (sensitivity.rows: 0); {} is minimized instead",
                                 context.config.objective()));
  }
}

std::vector<std::int64_t> wanted_trials(const waves::RunContext& context) {
  const std::size_t layers = context.model.layout.linear_layers.size();
  std::vector<std::int64_t> options(layers, -1);
  if (!context.config.wants_sensitivities() || context.work.borrows_measurement()) return options;
  const auto units = waves::sensitivity_units(context.model.layout, context.config.sensitivity);
  const std::vector<bool> known = waves::find_sensitivities(context, units);
  std::vector<bool> wanted(layers);
  for (std::size_t u = 0; u < units.size(); ++u) {
    for (const std::int64_t layer : units[u].layers) {
      wanted[static_cast<std::size_t>(layer)] = !known[u];
    }
  }
  const std::vector<bool> missing = waves::missing_trial_weights(context, wanted);
  for (std::size_t l = 0; l < layers; ++l) {
    if (missing[l]) options[l] = option_of(context, static_cast<std::int64_t>(l));
  }
  return options;
}

void measure_sensitivity(const waves::RunContext& context, double later_cost,
                         records::Measurement& measurement) {
  if (!context.config.wants_sensitivities()) return;
  const auto units = waves::sensitivity_units(context.model.layout, context.config.sensitivity);
  const std::vector<bool> known = waves::find_sensitivities(context, units);
  if (context.work.borrows_measurement()) require_complete(context, known);
  const auto there = std::count(known.begin(), known.end(), true);
  if (there > 0) {
    context.log.line("sensitivity", fmt::format("{} of {} known from {}", there, units.size(),
                                                context.work.borrows_measurement()
                                                    ? context.work.measured_in().string()
                                                    : "an earlier run"));
  }
  context.events.write("phase_start", "sensitivity");
  std::vector<LayerFigure> mine;
  comm::on_all(context.comm, [&] {
    mine = OwnPasses(context, units, own_units(context, known), later_cost).run();
  });
  if (context.control.agree() >= control::SignalWish::stop) {
    context.control.leave("in stage sensitivity");
  }
  const std::vector<LayerFigure> found = comm::gather_values(context.comm, mine);
  comm::on_root(context.comm, [&] {
    std::vector<double> kl(measurement.layers.size());
    for (const LayerFigure& figure : found) kl[static_cast<std::size_t>(figure.layer)] = figure.kl;
    for (std::size_t u = 0; u < units.size(); ++u) {
      if (!known[u]) continue;
      const std::vector<double> stored = waves::load_sensitivity(context, units[u]);
      for (std::size_t i = 0; i < stored.size(); ++i) {
        kl[static_cast<std::size_t>(units[u].layers[i])] = stored[i];
      }
    }
    put_into(context, kl, measurement);
    log_range(context, measurement);
    checkpoint::write_durably(context.work.measurement(),
                              records::measurement_2023_text(measurement));
  });
  if (!context.work.borrows_measurement()) remove_what_led_there(context, units);
  context.events.write("phase_end", "sensitivity");
}

double sensitivity_cost(const waves::RunContext& context) {
  if (!context.config.wants_sensitivities()) return 0.0;
  double cost = base_cost(context);
  for (const SensitivityUnit& unit :
       waves::sensitivity_units(context.model.layout, context.config.sensitivity)) {
    cost += cost_of(context, unit);
  }
  return cost;
}

}  // namespace shardquant::stages
