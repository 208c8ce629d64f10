#include "kernels/cuda/quantizer/quantize_matrix.hpp"

#include <algorithm>
#include <string>
#include <variant>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cuda/quantizer/affine_grid.hpp"
#include "kernels/cuda/quantizer/exl2_grid.hpp"
#include "kernels/cuda/quantizer/option_sweep.hpp"

namespace shardquant::kernels::cuda {

namespace {

using Cut = std::vector<RowGroup>;

// make(states) with as many of `wanted` states, each of `bytes` on the device, as memory allows; a
// failed allocation, which fragmentation can cause, makes it try with half of them.
template <class Make>
auto fitting_sweep(DeviceContext& context, ConstMatrixView weight, std::int64_t bytes, int wanted,
                   int& states, const Make& make) {
  // cuBLAS takes workspace of its own, and a pool of freed pieces is never quite full.
  constexpr std::int64_t kReserve = 64 << 20;
  const std::int64_t available = context.memory().free_bytes() - kReserve;
  const std::int64_t fit = std::max<std::int64_t>(available, 0) / bytes;
  states = static_cast<int>(std::clamp<std::int64_t>(fit, 1, wanted));
  for (;; states /= 2) {
    try {
      return make(states);
    } catch (const DeviceOutOfMemory& error) {
      if (states > 1) continue;
      throw DeviceOutOfMemory("one option of a " + std::to_string(weight.rows) + " x " +
                              std::to_string(weight.cols) + " matrix needs " +
                              std::to_string(bytes) +
                              " bytes beside its weight and factor: " + error.what());
    }
  }
}

// One weight matrix, quantized any number of times.
struct Quantizer {
  DeviceContext& context;
  ConstMatrixView weight;
  const HessianFactor& factor;
  const QuantizerSettings& settings;
  ConstMatrixView sketches;
  std::int64_t sketch_rows = 1;

  OptionSweep<Exl2Grid> exl2_sweep(int states) const {
    return {context, weight, factor, Exl2Grid(context, weight, factor, settings, states), states};
  }

  OptionSweep<AffineGrid> affine_sweep(std::span<const AffineScales> scales) const {
    return {context, weight, factor, AffineGrid(context, weight, factor, scales),
            static_cast<int>(scales.size())};
  }

  AffineScales scales_of(const WeightRecipe& option) const {
    const AffineRecipe* recipe = std::get_if<AffineRecipe>(&option);
    if (recipe == nullptr) return std::get<AffineScales>(option);
    return find_affine_scales(context, weight, factor, *recipe, settings);
  }

  // With the errors on sketches, of options `places` that the sweep has just done.
  template <class Sweep>
  void take_errors(const Sweep& sweep, std::span<const std::size_t> places,
                   std::vector<OptionError>& errors) const {
    std::vector<OptionError> found = sweep.errors();
    for (std::size_t i = 0; i < places.size(); ++i) {
      errors[places[i]] = std::move(found[i]);
      errors[places[i]].row_errors =
          sketched_norms(context, sketches, sketch_rows, sweep.difference(i));
    }
  }

  void measure_exl2(std::span<const Cut> cuts, std::span<const std::size_t> places,
                    std::vector<OptionError>& errors) const;
  void measure_affine(std::span<const WeightRecipe> options, std::span<const std::size_t> places,
                      std::vector<OptionError>& errors) const;
};

// In an order in which what does not fit in memory at once still shares most of its beginnings.
void Quantizer::measure_exl2(std::span<const Cut> cuts, std::span<const std::size_t> places,
                             std::vector<OptionError>& errors) const {
  std::vector<std::size_t> order = sharing_order(cuts);
  const auto same = [&](std::size_t a, std::size_t b) { return cuts[a] == cuts[b]; };
  order.erase(std::unique(order.begin(), order.end(), same), order.end());
  const std::int64_t bytes =
      OptionSweep<Exl2Grid>::state_bytes(weight) + Exl2Grid::state_bytes(weight, settings);
  int states = 0;
  auto sweep = fitting_sweep(context, weight, bytes, static_cast<int>(order.size()), states,
                             [&](int count) { return exl2_sweep(count); });
  for (std::size_t first = 0; first < order.size(); first += static_cast<std::size_t>(states)) {
    const std::size_t count = std::min(static_cast<std::size_t>(states), order.size() - first);
    std::vector<const Cut*> together;
    std::vector<std::size_t> of_options;
    for (const std::size_t i : std::span(order).subspan(first, count)) {
      together.push_back(&cuts[i]);
      of_options.push_back(places[i]);
    }
    sweep.run(together, {});
    take_errors(sweep, of_options, errors);
  }
  for (std::size_t i = 0; i < cuts.size(); ++i) {  // recipes that cut to the same groups
    const auto done =
        std::find_if(order.begin(), order.end(), [&](std::size_t d) { return cuts[d] == cuts[i]; });
    if (*done != i) errors[places[i]] = errors[places[*done]];
  }
}

void Quantizer::measure_affine(std::span<const WeightRecipe> options,
                               std::span<const std::size_t> places,
                               std::vector<OptionError>& errors) const {
  const Cut cut = groups_of_no_width(weight.rows, kMaxGroupRows);
  while (!places.empty()) {
    std::vector<AffineScales> scales{scales_of(options[places.front()])};
    const std::int64_t bytes = OptionSweep<AffineGrid>::state_bytes(weight) +
                               AffineGrid::state_bytes(weight, scales.front());
    int states = 0;
    const auto sweep_some = [&](int count) {
      while (std::ssize(scales) < count)
        scales.push_back(scales_of(options[places[scales.size()]]));
      return affine_sweep(std::span(scales).first(static_cast<std::size_t>(count)));
    };
    auto sweep =
        fitting_sweep(context, weight, bytes, static_cast<int>(places.size()), states, sweep_some);
    const auto count = static_cast<std::size_t>(states);
    sweep.run(std::vector<const Cut*>(count, &cut), {});
    take_errors(sweep, places.first(count), errors);
    places = places.subspan(count);
  }
}

// What a quantized matrix takes on the device before it is brought to the host.
struct DeviceRecord {
  DeviceBuffer<std::uint8_t> codes, scale_codes;
  DeviceBuffer<std::uint16_t> values, scale_max;
  DeviceBuffer<float> float_values;

  SweepRecord record() const {
    return {codes.get(), values.get(), float_values.get(), scale_codes.get(), scale_max.get()};
  }
};

template <class T>
DeviceBuffer<T> room_for(DeviceContext& context, const std::vector<T>& host) {
  if (host.empty()) return {};
  return {context.memory(), static_cast<std::int64_t>(host.size())};
}

// Runs the sweep of one option with buffers for what `result` has room for, and fills it.
template <class Sweep>
void run_recorded(DeviceContext& context, Sweep& sweep, const Cut& cut, QuantizedMatrix& result) {
  const DeviceRecord device{room_for(context, result.codes), room_for(context, result.scale_codes),
                            room_for(context, result.values), room_for(context, result.scale_max),
                            room_for(context, result.float_values)};
  const Cut* const option = &cut;
  sweep.run(std::span(&option, 1), device.record());
  result.error = sweep.errors().front();
  const auto download = [&](const auto& buffer, auto& host) {
    if (!host.empty()) context.download(buffer.get(), std::span(host));
  };
  download(device.codes, result.codes);
  download(device.values, result.values);
  download(device.float_values, result.float_values);
  download(device.scale_codes, result.scale_codes);
  download(device.scale_max, result.scale_max);
}

}  // namespace

std::vector<OptionError> measure_options(DeviceContext& context, ConstMatrixView weight,
                                         const HessianFactor& factor,
                                         std::span<const WeightRecipe> options,
                                         const QuantizerSettings& settings,
                                         ConstMatrixView sketches, std::int64_t sketch_rows) {
  const Quantizer quantizer{context, weight, factor, settings, sketches, sketch_rows};
  std::vector<OptionError> errors(options.size());
  std::vector<Cut> cuts;
  std::vector<std::size_t> exl2;
  std::vector<std::size_t> affine;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const Cut* cut = std::get_if<Cut>(&options[i]);
    (cut != nullptr ? exl2 : affine).push_back(i);
    if (cut != nullptr) cuts.push_back(*cut);
  }
  if (!cuts.empty()) quantizer.measure_exl2(cuts, exl2, errors);
  quantizer.measure_affine(options, affine, errors);
  return errors;
}

QuantizedMatrix quantize_matrix(DeviceContext& context, ConstMatrixView weight,
                                const HessianFactor& factor, const WeightRecipe& option,
                                const QuantizerSettings& settings) {
  const Quantizer quantizer{context, weight, factor, settings, {}, 1};
  QuantizedMatrix result;
  const auto elements = static_cast<std::size_t>(weight.rows * weight.cols);
  result.codes.resize(elements);
  if (const Cut* cut = std::get_if<Cut>(&option)) {
    result.groups = *cut;
    result.values.resize(elements);
    result.scale_codes.resize(cut->size() * static_cast<std::size_t>(weight.cols));
    result.scale_max.resize(cut->size());
    auto sweep = quantizer.exl2_sweep(1);
    run_recorded(context, sweep, *cut, result);
  } else {
    result.affine = quantizer.scales_of(option);
    const bool wide = result.affine.value_type == ElementType::f32;
    (wide ? result.float_values.resize(elements) : result.values.resize(elements));
    auto sweep = quantizer.affine_sweep(std::span(&result.affine, 1));
    run_recorded(context, sweep, groups_of_no_width(weight.rows, kMaxGroupRows), result);
  }
  return result;
}

}  // namespace shardquant::kernels::cuda
