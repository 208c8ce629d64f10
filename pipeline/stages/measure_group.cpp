#include "pipeline/stages/measure_group.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/api/kernel_error.hpp"
#include "kernels/api/named_range.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/stages/layer_weights.hpp"

namespace shardquant::stages {

namespace {

template <class T>
void append(std::vector<std::byte>& bytes, std::span<const T> values) {
  const auto raw = std::as_bytes(values);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <class T>
void take(std::span<const std::byte>& bytes, std::span<T> values) {
  if (bytes.size() < values.size_bytes()) fail(ExitCode::internal, "measurement record too short");
  std::memcpy(values.data(), bytes.data(), values.size_bytes());
  bytes = bytes.subspan(values.size_bytes());
}

// A ratio of two sums of squares that rounding may have brought below zero.
double relative_error(double error, double norm) {
  if (error <= 0.0) return 0.0;
  return norm > 0.0 ? std::sqrt(error / norm) : std::numeric_limits<double>::infinity();
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

}  // namespace

std::vector<std::byte> GroupMeasurement::to_bytes() const {
  const std::int64_t header[] = {group, damping_tries, dead_inputs, options,
                                 static_cast<std::int64_t>(err.size())};
  std::vector<std::byte> bytes;
  append<std::int64_t>(bytes, header);
  append<double>(bytes, std::array{damp, seconds});
  append<double>(bytes, err);
  append<std::int64_t>(bytes, flushed_groups);
  return bytes;
}

GroupMeasurement GroupMeasurement::from_bytes(std::span<const std::byte>& bytes) {
  std::int64_t header[5];
  take<std::int64_t>(bytes, header);
  GroupMeasurement record;
  record.group = header[0];
  record.damping_tries = header[1];
  record.dead_inputs = header[2];
  record.options = header[3];
  double numbers[2];
  take<double>(bytes, numbers);
  record.damp = numbers[0];
  record.seconds = numbers[1];
  record.err.resize(static_cast<std::size_t>(header[4]));
  record.flushed_groups.resize(record.err.size());
  take<double>(bytes, record.err);
  take<std::int64_t>(bytes, record.flushed_groups);
  return record;
}

kernels::HessianFactor factor_group(kernels::Backend& backend, const SourceModel& model,
                                    std::int64_t group, const PackedHessian& hessian,
                                    const kernels::QuantizerSettings& settings) {
  try {
    return backend.factor_hessian(hessian.unpack(backend), settings);
  } catch (const kernels::NumericalError& error) {
    fail(ExitCode::bad_data, "{}: {}; raise quantizer damping or check the calibration data",
         model.group(group).name, error.what());
  }
}

GroupMeasurement measure_group(kernels::Backend& backend, const SourceModel& model,
                               std::int64_t group, const CalibratedGroup& calibrated,
                               std::span<const kernels::QuantOption> options,
                               const kernels::QuantizerSettings& settings, ErrNorm norm) {
  const model::HessianGroup& info = model.group(group);
  const kernels::NamedRange range(backend, "measure " + info.name);
  const kernels::HessianFactor factor =
      factor_group(backend, model, group, calibrated.hessian, settings);
  const kernels::Matrix sketches = permuted_sketches(backend, calibrated.sketches, factor.perm);

  std::vector<std::vector<kernels::RowGroup>> cuts;
  std::vector<std::size_t> existing;
  for (std::size_t i = 0; i < options.size(); ++i) {
    auto cut = kernels::cut_into_groups(options[i], info.inputs);
    if (cut.empty()) continue;
    existing.push_back(i);
    cuts.push_back(std::move(cut));
  }

  GroupMeasurement record;
  record.group = group;
  record.damp = factor.damp;
  record.damping_tries = factor.tries;
  record.dead_inputs = factor.dead_inputs;
  record.options = static_cast<std::int64_t>(options.size());
  record.err.assign(info.layers.size() * options.size(), std::numeric_limits<double>::quiet_NaN());
  record.flushed_groups.assign(record.err.size(), 0);
  for (std::size_t row = 0; row < info.layers.size(); ++row) {
    const kernels::Matrix weight =
        backend.permuted_transpose(read_weight(model, info.layers[row]).tensor(), factor.perm);
    const auto norms = backend.weight_norms(weight, factor, sketches, kSketchRows);
    const auto errors =
        backend.measure_options(weight, factor, cuts, settings, sketches, kSketchRows);
    for (std::size_t i = 0; i < existing.size(); ++i) {
      const std::size_t at = row * options.size() + existing[i];
      record.err[at] = norm == ErrNorm::pooled
                           ? relative_error(errors[i].loss(factor.damp), norms.output(factor.damp))
                           : mean_row_error(errors[i].row_errors, norms.row_norms);
      record.flushed_groups[at] = errors[i].flushed_groups;
    }
  }
  return record;
}

}  // namespace shardquant::stages
