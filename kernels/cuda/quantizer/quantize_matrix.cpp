#include "kernels/cuda/quantizer/quantize_matrix.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/cuda_check.hpp"
#include "kernels/cuda/matrix_products.hpp"
#include "kernels/cuda/quantizer/option_sweep.hpp"
#include "kernels/cuda/quantizer/quantizer_launchers.hpp"

namespace shardquant::kernels::cuda {

namespace {

// In an order in which what does not fit in memory at once still shares most of its beginnings.
std::vector<std::size_t> distinct_options(std::span<const std::vector<RowGroup>> options) {
  std::vector<std::size_t> order = sharing_order(options);
  const auto same = [&](std::size_t a, std::size_t b) { return options[a] == options[b]; };
  order.erase(std::unique(order.begin(), order.end(), same), order.end());
  return order;
}

// ||sketches[block] matrix||_F^2 per block of sketch_rows rows.
std::vector<double> sketched_norms(DeviceContext& context, ConstMatrixView sketches,
                                   std::int64_t sketch_rows, ConstMatrixView matrix) {
  if (sketches.rows == 0) return {};
  std::vector<double> norms(static_cast<std::size_t>(sketches.rows / sketch_rows));
  DeviceBuffer<float> product(context.memory(), sketches.rows * matrix.cols);
  DeviceBuffer<double> sums(context.memory(), static_cast<std::int64_t>(norms.size()));
  const MatrixView out{product.get(), sketches.rows, matrix.cols, matrix.cols};
  multiply(context, sketches, matrix, out);
  launch_squared_sums(out, nullptr, sketch_rows, sums.get(), context.stream().get());
  context.download(sums.get(), std::span(norms));
  return norms;
}

// The sweep with as many states as memory allows; a failed allocation, which fragmentation can
// cause, makes it try with half of them.
OptionSweep fitting_sweep(DeviceContext& context, ConstMatrixView weight,
                          const HessianFactor& factor, const QuantizerSettings& settings,
                          int wanted, int& states) {
  states = std::max(1, OptionSweep::states_that_fit(context, weight, settings, wanted));
  for (;; states /= 2) {
    try {
      return OptionSweep(context, weight, factor, settings, states);
    } catch (const DeviceOutOfMemory& error) {
      if (states > 1) continue;
      throw DeviceOutOfMemory("one option of a " + std::to_string(weight.rows) + " x " +
                              std::to_string(weight.cols) + " matrix needs " +
                              std::to_string(OptionSweep::state_bytes(weight, settings)) +
                              " bytes beside its weight and factor: " + error.what());
    }
  }
}

}  // namespace

// ||R^T W||_F^2 with R = A diag(pivots): block row by block row of A^T W, zeros of A included.
WeightNorms weight_norms(DeviceContext& context, ConstMatrixView weight,
                         const HessianFactor& factor, ConstMatrixView sketches,
                         std::int64_t sketch_rows) {
  constexpr std::int64_t kRows = 512;
  const ConstMatrixView a = factor.unit_factor;
  const cudaStream_t stream = context.stream().get();
  DeviceBuffer<float> pivots(context.memory(), weight.rows);
  context.upload(std::as_bytes(std::span(factor.pivots)), pivots.get());
  DeviceBuffer<float> product(context.memory(), std::min(kRows, weight.rows) * weight.stride);
  DeviceBuffer<double> damped(context.memory(), weight.rows);
  DeviceBuffer<double> plain(context.memory(), weight.rows);
  for (std::int64_t first = 0; first < weight.rows; first += kRows) {
    const std::int64_t rows = std::min(kRows, weight.rows - first);
    const std::int64_t depth = first + rows;
    const MatrixView out{product.get(), rows, weight.cols, weight.stride};
    multiply_transposed(context, {a.data + first, depth, rows, a.stride},
                        weight.row_range(0, depth), 0.0f, out, {});
    launch_squared_sums(out, pivots.get() + first, 1, damped.get() + first, stream);
  }
  launch_squared_sums(weight, nullptr, 1, plain.get(), stream);
  std::vector<double> damped_rows(static_cast<std::size_t>(weight.rows));
  std::vector<double> plain_rows(damped_rows.size());
  context.download(damped.get(), std::span(damped_rows));
  context.download(plain.get(), std::span(plain_rows));
  WeightNorms norms;
  norms.damped = std::accumulate(damped_rows.begin(), damped_rows.end(), 0.0);
  norms.weight = std::accumulate(plain_rows.begin(), plain_rows.end(), 0.0);
  norms.row_norms = sketched_norms(context, sketches, sketch_rows, weight);
  return norms;
}

std::vector<OptionError> measure_options(DeviceContext& context, ConstMatrixView weight,
                                         const HessianFactor& factor,
                                         std::span<const std::vector<RowGroup>> options,
                                         const QuantizerSettings& settings,
                                         ConstMatrixView sketches, std::int64_t sketch_rows) {
  std::vector<OptionError> errors(options.size());
  if (options.empty()) return errors;
  const std::vector<std::size_t> distinct = distinct_options(options);
  int states = 0;
  OptionSweep sweep =
      fitting_sweep(context, weight, factor, settings, static_cast<int>(distinct.size()), states);
  for (std::size_t first = 0; first < distinct.size(); first += static_cast<std::size_t>(states)) {
    const std::size_t count = std::min(static_cast<std::size_t>(states), distinct.size() - first);
    std::vector<const std::vector<RowGroup>*> together;
    for (std::size_t i = 0; i < count; ++i) together.push_back(&options[distinct[first + i]]);
    sweep.run(together, {});
    std::vector<OptionError> found = sweep.errors();
    for (std::size_t i = 0; i < count; ++i) {
      found[i].row_errors = sketched_norms(context, sketches, sketch_rows, sweep.difference(i));
      errors[distinct[first + i]] = std::move(found[i]);
    }
  }
  for (std::size_t i = 0; i < options.size(); ++i) {  // recipes that cut to the same groups
    const auto same = std::find_if(distinct.begin(), distinct.end(),
                                   [&](std::size_t d) { return options[d] == options[i]; });
    if (*same != i) errors[i] = errors[*same];
  }
  return errors;
}

QuantizedMatrix quantize_matrix(DeviceContext& context, ConstMatrixView weight,
                                const HessianFactor& factor, std::span<const RowGroup> groups,
                                const QuantizerSettings& settings) {
  const std::int64_t elements = weight.rows * weight.cols;
  const auto group_count = static_cast<std::int64_t>(groups.size());
  QuantizedMatrix result;
  result.groups.assign(groups.begin(), groups.end());
  result.codes.resize(static_cast<std::size_t>(elements));
  result.values.resize(result.codes.size());
  result.scale_codes.resize(static_cast<std::size_t>(group_count * weight.cols));
  result.scale_max.resize(groups.size());

  DeviceBuffer<std::uint8_t> codes(context.memory(), elements);
  DeviceBuffer<std::uint16_t> values(context.memory(), elements);
  DeviceBuffer<std::uint8_t> scale_codes(context.memory(), group_count * weight.cols);
  DeviceBuffer<std::uint16_t> scale_max(context.memory(), group_count);
  OptionSweep sweep(context, weight, factor, settings, 1);
  const std::vector<RowGroup>* const option = &result.groups;
  sweep.run(std::span(&option, 1), {codes.get(), values.get(), scale_codes.get(), scale_max.get()});
  result.error = sweep.errors().front();
  context.download(codes.get(), std::span(result.codes));
  context.download(values.get(), std::span(result.values));
  context.download(scale_codes.get(), std::span(result.scale_codes));
  context.download(scale_max.get(), std::span(result.scale_max));
  return result;
}

}  // namespace shardquant::kernels::cuda
