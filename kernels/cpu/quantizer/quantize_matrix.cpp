#include <span>
#include <variant>

#include "kernels/cpu/quantizer/affine_groups.hpp"
#include "kernels/cpu/quantizer/column_sweep.hpp"
#include "kernels/cpu/quantizer/exl2_groups.hpp"
#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

namespace {

using Cut = std::vector<RowGroup>;

// One weight matrix, quantized any number of times.
struct Quantizer {
  ConstMatrixView weight;
  const HessianFactor& factor;
  const QuantizerSettings& settings;
  ConstMatrixView sketches;
  std::int64_t sketch_rows;
  int threads;

  // The options that are row groups, in an order in which they share most.
  void measure_exl2(std::span<const WeightRecipe> options, std::vector<OptionError>& errors) const {
    std::vector<Cut> cuts;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < options.size(); ++i) {
      const Cut* cut = std::get_if<Cut>(&options[i]);
      if (cut == nullptr) continue;
      cuts.push_back(*cut);
      places.push_back(i);
    }
    if (cuts.empty()) return;
    Exl2Groups grid(weight, factor, settings, select_group_kernels(), threads);
    ColumnSweep sweep(weight, factor, grid, threads);
    const std::vector<std::size_t> order = sharing_order(cuts);
    for (std::size_t i = 0; i < order.size(); ++i) {
      OptionError& error = errors[places[order[i]]];
      if (i > 0 && cuts[order[i]] == cuts[order[i - 1]]) {
        error = errors[places[order[i - 1]]];  // two recipes that cut to the same groups
        continue;
      }
      error = sweep.run(cuts[order[i]], {});
      error.row_errors = sketched_norms(sketches, sketch_rows, sweep.difference(), threads);
    }
  }

  AffineScales scales_of(const WeightRecipe& option) const {
    const AffineRecipe* recipe = std::get_if<AffineRecipe>(&option);
    if (recipe == nullptr) return std::get<AffineScales>(option);
    return find_affine_scales(weight, factor, *recipe, settings, threads);
  }

  OptionError run_affine(const AffineScales& scales, const SweepRecord& record) const {
    AffineGroups grid(weight, factor, scales, select_group_kernels());
    ColumnSweep sweep(weight, factor, grid, threads);
    OptionError error = sweep.run(groups_of_no_width(weight.rows, kMostGroupRows), record);
    error.flushed_groups = scales.flushed_groups;
    error.row_errors = sketched_norms(sketches, sketch_rows, sweep.difference(), threads);
    return error;
  }

  void quantize_exl2(const Cut& cut, QuantizedMatrix& result) const {
    result.groups = cut;
    result.values.resize(result.codes.size());
    result.scale_codes.resize(cut.size() * weight.cols);
    result.scale_max.resize(cut.size());
    SweepRecord record;
    record.codes = result.codes.data();
    record.values = result.values.data();
    record.scale_codes = result.scale_codes.data();
    record.scale_max = result.scale_max.data();
    Exl2Groups grid(weight, factor, settings, select_group_kernels(), threads);
    result.error = ColumnSweep(weight, factor, grid, threads).run(cut, record);
  }

  void quantize_affine(AffineScales scales, QuantizedMatrix& result) const {
    SweepRecord record;
    record.codes = result.codes.data();
    if (scales.value_type == ElementType::f32) {
      result.float_values.resize(result.codes.size());
      record.float_values = result.float_values.data();
    } else {
      result.values.resize(result.codes.size());
      record.values = result.values.data();
    }
    result.error = run_affine(scales, record);
    result.affine = std::move(scales);
  }
};

}  // namespace

std::vector<OptionError> measure_options(ConstMatrixView weight, const HessianFactor& factor,
                                         std::span<const WeightRecipe> options,
                                         const QuantizerSettings& settings,
                                         ConstMatrixView sketches, std::int64_t sketch_rows,
                                         int threads) {
  const Quantizer quantizer{weight, factor, settings, sketches, sketch_rows, threads};
  std::vector<OptionError> errors(options.size());
  quantizer.measure_exl2(options, errors);
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (std::holds_alternative<Cut>(options[i])) continue;
    errors[i] = quantizer.run_affine(quantizer.scales_of(options[i]), {});
  }
  return errors;
}

QuantizedMatrix quantize_matrix(ConstMatrixView weight, const HessianFactor& factor,
                                const WeightRecipe& option, const QuantizerSettings& settings,
                                int threads) {
  const Quantizer quantizer{weight, factor, settings, {}, 1, threads};
  QuantizedMatrix result;
  result.codes.resize(weight.rows * weight.cols);
  if (const Cut* cut = std::get_if<Cut>(&option)) {
    quantizer.quantize_exl2(*cut, result);
  } else {
    quantizer.quantize_affine(quantizer.scales_of(option), result);
  }
  return result;
}

}  // namespace shardquant::kernels
