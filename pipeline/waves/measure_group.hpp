#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/waves/deal_groups.hpp"
#include "pipeline/waves/packed_hessian.hpp"
#include "pipeline/waves/work_cost.hpp"

namespace shardquant::waves {

/// What calibration gives for one Hessian group.
struct CalibratedGroup {
  PackedHessian hessian;        ///< 2 X^T X / rows
  std::vector<float> sketches;  ///< [rows * kSketchRows, K] for err_norm row_mean, else empty
};

/// Random projections of a calibration row's inputs that stand in for them in the row's error:
/// ||Omega X E|| / ||Omega X W|| tracks ||X E|| / ||X W|| to about 1 %.
inline constexpr std::int64_t kSketchRows = 16;

/// Errors of the options of one layer, and how the Hessian of its group behaved.
struct MeasuredLayer {
  std::int64_t layer = 0;
  /// Indices of the options measured, ascending, where there are others that exist; else empty.
  std::vector<std::int64_t> options;
  double damp = 0.0;
  std::int64_t damping_tries = 0;  ///< attempts at factoring the Hessian, the fp64 one included
  kernels::FactorMethod method = kernels::FactorMethod::fp32;  ///< of the factor used
  std::int64_t dead_inputs = 0;
  double seconds = 0.0;                      ///< this item took; for the balance, not for results
  double cost = 0.0;                         ///< it was predicted to take, in operations; likewise
  std::vector<double> err;                   ///< by option of the table, NaN where not measured
  std::vector<std::int64_t> flushed_groups;  ///< by option

  bool is_part() const { return !options.empty(); }
  std::vector<std::byte> to_bytes() const;
  /// Inverse of to_bytes; takes its part off the front of `bytes`.
  static MeasuredLayer from_bytes(std::span<const std::byte>& bytes);
};

/// Layers of which the quantized weight is wanted beside the errors.
struct TrialRequest {
  /// By layer of the model: the option it is wanted at, -1 where it is not.
  std::vector<std::int64_t> options;
  /// Called before the layer's record goes to the sink. matrix: in the order of the factor's rows,
  /// which `perm` leads back from.
  std::function<void(std::int64_t layer, const kernels::QuantizedMatrix& matrix,
                     std::span<const std::int32_t> perm)>
      take;
};

/// How a group is measured.
struct MeasureSettings {
  const weights::WeightFormat& format;
  kernels::QuantizerSettings quantizer;  ///< as settings_for_group has them
  config::ErrNorm norm = config::ErrNorm::pooled;
  const TrialRequest* trials = nullptr;  ///< null: of no layer
};

/// Takes a layer that is measured; returns whether to go on with the next one.
using MeasuredLayerSink = std::function<bool(const MeasuredLayer&)>;

/// Factors the Hessian of a group once and measures the layers and options of the part (units of
/// measure_units of the group and the format), layer after layer. What an option gives does not
/// depend on the others measured with it. A layer measured at an option that it is to be tried at
/// is also quantized with it. False where `sink` ended it before the last layer.
/// @throws Failure(bad_data) naming the tensor or the group, where weight or Hessian hold NaN
bool measure_group(kernels::Backend& backend, const model::SourceModel& model,
                   const CalibratedGroup& calibrated, const MeasureSettings& settings,
                   const GroupUnits& units, const GroupPart& part, const MeasuredLayerSink& sink);

/// One record of a layer from records of parts of its options, which together have all of them. In
/// any order; all are of the same layer and say the same of its Hessian. @pre at least one
MeasuredLayer merge_parts(std::span<const MeasuredLayer> parts);

}  // namespace shardquant::waves
