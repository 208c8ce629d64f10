#include "pipeline/waves/measure_group.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/api/named_range.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/model/layer_weights.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/waves/factor_group.hpp"

namespace shardquant::waves {

namespace {

template <class T>
void append(std::vector<std::byte>& bytes, std::span<const T> values) {
  const auto raw = std::as_bytes(values);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <class T>
void take(std::span<const std::byte>& bytes, std::span<T> values) {
  if (bytes.size() < values.size_bytes()) fail(ExitCode::internal, "measurement record too short");
  std::copy_n(bytes.begin(), values.size_bytes(), std::as_writable_bytes(values).begin());
  bytes = bytes.subspan(values.size_bytes());
}

// A ratio of two sums of squares that rounding may have brought below zero. An output that is lost
// altogether counts as 1, the most that a measurement file takes.
double relative_error(double error, double norm) {
  if (error <= 0.0) return 0.0;
  return norm > 0.0 ? std::min(std::sqrt(error / norm), 1.0) : 1.0;
}

// What is left of the norm without the damping; where that is no more than rounding (inputs that
// are always zero, or weights that only meet such), there is no output to lose.
double pooled_error(const kernels::OptionError& error, const kernels::WeightNorms& norms,
                    double damp) {
  constexpr double kRounding = 1e-6;
  const double norm = norms.output(damp);
  return norm > kRounding * norms.damped ? relative_error(error.loss(damp), norm) : 0.0;
}

double mean_row_error(std::span<const double> errors, std::span<const double> norms) {
  double sum = 0.0;
  for (std::size_t r = 0; r < errors.size(); ++r) sum += relative_error(errors[r], norms[r]);
  return sum / static_cast<double>(errors.size());
}

// Columns into the order of the factor's rows.
kernels::Matrix permuted_sketches(kernels::Backend& backend, std::span<const float> sketches,
                                  std::span<const std::int32_t> perm) {
  const auto inputs = static_cast<std::int64_t>(perm.size());
  const std::int64_t rows = static_cast<std::int64_t>(sketches.size()) / inputs;
  std::vector<float> permuted(sketches.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* from = sketches.data() + r * inputs;
    float* to = permuted.data() + r * inputs;
    for (std::int64_t k = 0; k < inputs; ++k) to[k] = from[perm[static_cast<std::size_t>(k)]];
  }
  kernels::Matrix matrix = backend.allocate(rows, inputs);
  backend.upload(permuted, matrix);
  return matrix;
}

std::int64_t existing_options(std::span<const exl2::QuantOption> options, std::int64_t inputs) {
  return std::count_if(options.begin(), options.end(), [&](const exl2::QuantOption& option) {
    return !exl2::cut_into_groups(option, inputs).empty();
  });
}

std::vector<kernels::WeightRecipe> cuts_of(std::span<const exl2::QuantOption> options,
                                           const std::vector<std::int64_t>& chosen,
                                           std::int64_t inputs) {
  std::vector<kernels::WeightRecipe> cuts;
  for (const std::int64_t option : chosen) {
    cuts.push_back(exl2::cut_into_groups(options[static_cast<std::size_t>(option)], inputs));
  }
  return cuts;
}

MeasuredLayer start_record(const LayerOptions& piece, const kernels::HessianFactor& factor,
                           std::size_t options, std::int64_t existing) {
  MeasuredLayer record;
  record.layer = piece.layer;
  if (std::ssize(piece.options) < existing) record.options = piece.options;
  record.damp = factor.damp;
  record.damping_tries = factor.tries;
  record.method = factor.method;
  record.dead_inputs = factor.dead_inputs;
  record.err.assign(options, std::numeric_limits<double>::quiet_NaN());
  record.flushed_groups.assign(options, 0);
  return record;
}

// What of the cost of units [first, end) falls to one layer of theirs.
double cost_of_layer(const GroupUnits& units, std::int64_t first, std::int64_t end,
                     std::int64_t layer) {
  const auto is_of_layer = [&](std::int64_t u) {
    return units.units[static_cast<std::size_t>(u)].layer == layer;
  };
  std::int64_t own = first;
  while (!is_of_layer(own)) ++own;
  std::int64_t own_end = own;
  while (own_end < end && is_of_layer(own_end)) ++own_end;
  return operations_of(units.work(first, own_end)) - operations_of(units.work(first, own));
}

}  // namespace

std::vector<std::byte> MeasuredLayer::to_bytes() const {
  const std::int64_t header[] = {layer,
                                 damping_tries,
                                 static_cast<std::int64_t>(method),
                                 dead_inputs,
                                 static_cast<std::int64_t>(err.size()),
                                 static_cast<std::int64_t>(options.size())};
  std::vector<std::byte> bytes;
  append<std::int64_t>(bytes, header);
  append<double>(bytes, std::array{damp, seconds, cost});
  append<double>(bytes, err);
  append<std::int64_t>(bytes, flushed_groups);
  append<std::int64_t>(bytes, options);
  return bytes;
}

MeasuredLayer MeasuredLayer::from_bytes(std::span<const std::byte>& bytes) {
  std::int64_t header[6];
  take<std::int64_t>(bytes, header);
  MeasuredLayer record;
  record.layer = header[0];
  record.damping_tries = header[1];
  record.method = static_cast<kernels::FactorMethod>(header[2]);
  record.dead_inputs = header[3];
  double numbers[3];
  take<double>(bytes, numbers);
  record.damp = numbers[0];
  record.seconds = numbers[1];
  record.cost = numbers[2];
  record.err.resize(static_cast<std::size_t>(header[4]));
  record.flushed_groups.resize(record.err.size());
  record.options.resize(static_cast<std::size_t>(header[5]));
  take<double>(bytes, record.err);
  take<std::int64_t>(bytes, record.flushed_groups);
  take<std::int64_t>(bytes, record.options);
  return record;
}

bool measure_group(kernels::Backend& backend, const model::SourceModel& model, std::int64_t group,
                   const CalibratedGroup& calibrated, std::span<const exl2::QuantOption> options,
                   const kernels::QuantizerSettings& settings, ErrNorm norm,
                   const GroupUnits& units, std::int64_t first, std::int64_t end,
                   const MeasuredLayerSink& sink) {
  const std::int64_t inputs = model.group(group).inputs;
  const kernels::NamedRange range(backend, "measure " + model.group(group).name);
  const report::Clock clock = report::start_clock();
  double begin = 0.0;
  const kernels::HessianFactor factor =
      factor_group(backend, model, group, calibrated.hessian, settings);
  const kernels::Matrix sketches = permuted_sketches(backend, calibrated.sketches, factor.perm);
  const std::int64_t existing = existing_options(options, inputs);

  const std::vector<LayerOptions> pieces = layer_options(units, first, end);
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const std::string& key = model.layer(pieces[p].layer).key;
    faults::reach(faults::Point::layer_started, key + ' ' + options_text(pieces[p].options));
    const auto cuts = cuts_of(options, pieces[p].options, inputs);
    const kernels::Matrix weight = backend.permuted_transpose(
        model::read_weight(model, pieces[p].layer).tensor(), factor.perm);
    const auto norms = backend.weight_norms(weight, factor, sketches, kSketchRows);
    const auto errors =
        backend.measure_options(weight, factor, cuts, settings, sketches, kSketchRows);
    MeasuredLayer record = start_record(pieces[p], factor, options.size(), existing);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      const auto option = static_cast<std::size_t>(pieces[p].options[i]);
      record.err[option] = norm == ErrNorm::pooled
                               ? pooled_error(errors[i], norms, factor.damp)
                               : mean_row_error(errors[i].row_errors, norms.row_norms);
      record.flushed_groups[option] = errors[i].flushed_groups;
    }
    const double now = clock();
    record.seconds = now - begin;  // that of the first has the factorization in it
    begin = now;
    record.cost = cost_of_layer(units, first, end, pieces[p].layer);
    faults::reach(faults::Point::layer_measured, key);
    if (!sink(record) && p + 1 < pieces.size()) return false;
  }
  return true;
}

MeasuredLayer merge_parts(std::span<const MeasuredLayer> parts) {
  MeasuredLayer merged = parts.front();
  for (const MeasuredLayer& part : parts.subspan(1)) {
    merged.seconds += part.seconds;
    merged.cost += part.cost;
    for (const std::int64_t option : part.options) {
      const auto index = static_cast<std::size_t>(option);
      merged.err[index] = part.err[index];
      merged.flushed_groups[index] = part.flushed_groups[index];
    }
  }
  merged.options.clear();
  return merged;
}

}  // namespace shardquant::waves
