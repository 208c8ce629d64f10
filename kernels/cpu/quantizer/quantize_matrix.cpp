#include "kernels/cpu/quantizer/column_sweep.hpp"
#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

namespace shardquant::kernels {

std::vector<OptionError> measure_options(ConstMatrixView weight, const HessianFactor& factor,
                                         std::span<const std::vector<RowGroup>> options,
                                         const QuantizerSettings& settings,
                                         ConstMatrixView sketches, std::int64_t sketch_rows,
                                         int threads, SweepTimes* times) {
  ColumnSweep sweep(weight, factor, settings, threads);
  std::vector<OptionError> errors(options.size());
  const std::vector<RowGroup>* previous = nullptr;
  std::size_t previous_index = 0;
  for (const std::size_t index : sharing_order(options)) {
    const std::vector<RowGroup>& groups = options[index];
    if (previous != nullptr && groups == *previous) {
      errors[index] = errors[previous_index];  // two recipes that cut to the same groups
      continue;
    }
    errors[index] = sweep.run(groups, {});
    errors[index].row_errors = sketched_norms(sketches, sketch_rows, sweep.difference(), threads);
    previous = &groups;
    previous_index = index;
  }
  if (times != nullptr) *times = sweep.times();
  return errors;
}

QuantizedMatrix quantize_matrix(ConstMatrixView weight, const HessianFactor& factor,
                                std::span<const RowGroup> groups, const QuantizerSettings& settings,
                                int threads) {
  QuantizedMatrix result;
  result.groups.assign(groups.begin(), groups.end());
  result.codes.resize(weight.rows * weight.cols);
  result.values.resize(result.codes.size());
  result.scale_codes.resize(groups.size() * weight.cols);
  result.scale_max.resize(groups.size());
  ColumnSweep sweep(weight, factor, settings, threads);
  result.error = sweep.run(groups, {result.codes.data(), result.values.data(),
                                    result.scale_codes.data(), result.scale_max.data()});
  return result;
}

}  // namespace shardquant::kernels
