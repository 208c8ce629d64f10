#include "pipeline/waves/measure_group.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "kernels/api/named_range.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/faults/fault_point.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/layer_weights.hpp"
#include "pipeline/report/log.hpp"
#include "pipeline/waves/factor_group.hpp"
#include "pipeline/waves/relative_error.hpp"

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

std::vector<kernels::WeightRecipe> recipes_of(const weights::WeightFormat& format,
                                              const std::vector<std::int64_t>& options,
                                              const weights::LayerShape& layer) {
  std::vector<kernels::WeightRecipe> recipes;
  for (const std::int64_t option : options) recipes.push_back(*format.recipe(option, layer));
  return recipes;
}

MeasuredLayer start_record(const LayerOptions& piece, const kernels::HessianFactor& factor,
                           const weights::WeightFormat& format, const weights::LayerShape& layer) {
  const auto options = static_cast<std::size_t>(format.option_count());
  MeasuredLayer record;
  record.layer = piece.layer;
  if (piece.options.size() < weights::existing_options(format, layer).size()) {
    record.options = piece.options;
  }
  record.damp = factor.damp;
  record.damping_tries = factor.tries;
  record.method = factor.method;
  record.dead_inputs = factor.dead_inputs;
  record.err.assign(options, std::numeric_limits<double>::quiet_NaN());
  record.flushed_groups.assign(options, 0);
  return record;
}

// Which of the options of a piece its layer is to be quantized with, if any.
std::optional<std::int64_t> trial_among(const TrialRequest* trials, const LayerOptions& piece) {
  if (trials == nullptr) return std::nullopt;
  const std::int64_t wanted = trials->options[static_cast<std::size_t>(piece.layer)];
  const auto& options = piece.options;
  if (std::find(options.begin(), options.end(), wanted) == options.end()) return std::nullopt;
  return wanted;
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

bool measure_group(kernels::Backend& backend, const model::SourceModel& model,
                   const CalibratedGroup& calibrated, const MeasureSettings& settings,
                   const GroupUnits& units, const GroupPart& part, const MeasuredLayerSink& sink) {
  const std::int64_t group = units.group;
  const kernels::NamedRange range(backend, "measure " + model.group(group).name);
  const report::Clock clock = report::start_clock();
  double begin = 0.0;
  const kernels::HessianFactor factor =
      factor_group(backend, model, group, calibrated.hessian, settings.quantizer);
  const kernels::Matrix sketches = permuted_sketches(backend, calibrated.sketches, factor.perm);

  const std::vector<LayerOptions> pieces = layer_options(units, part.first, part.end);
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const weights::LayerShape shape = model::shape_of(model.layer(pieces[p].layer));
    faults::reach(faults::Point::layer_started, shape.key + ' ' + options_text(pieces[p].options));
    const kernels::Matrix weight = backend.permuted_transpose(
        model::read_weight(model, pieces[p].layer, settings.format.plain_dtype(shape.dtype))
            .tensor(),
        factor.perm);
    const auto norms = backend.weight_norms(weight, factor, sketches, kSketchRows);
    const auto errors = backend.measure_options(
        weight, factor, recipes_of(settings.format, pieces[p].options, shape), settings.quantizer,
        sketches, kSketchRows);
    MeasuredLayer record = start_record(pieces[p], factor, settings.format, shape);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      const auto option = static_cast<std::size_t>(pieces[p].options[i]);
      record.err[option] = settings.norm == config::ErrNorm::pooled
                               ? pooled_error(errors[i], norms, factor.damp)
                               : row_mean_error(errors[i], norms);
      record.flushed_groups[option] = errors[i].flushed_groups;
    }
    if (const auto trial = trial_among(settings.trials, pieces[p])) {
      settings.trials->take(pieces[p].layer,
                            backend.quantize(weight, factor, *settings.format.recipe(*trial, shape),
                                             settings.quantizer),
                            factor.perm);
    }
    const double now = clock();
    record.seconds = now - begin;  // that of the first has the factorization in it
    begin = now;
    record.cost = cost_of_layer(units, part.first, part.end, pieces[p].layer);
    faults::reach(faults::Point::layer_measured, shape.key);
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
