#pragma once

#include <vector>

#include "pipeline/records/measurement_file.hpp"
#include "pipeline/stages/balance.hpp"
#include "pipeline/waves/measure_group.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// What the measure stage knows in the end; on root, empty elsewhere.
struct MeasuredModel {
  records::Measurement measurement;
  std::vector<waves::MeasuredLayer> layers;  ///< head left out
  Balance balance;                           ///< of what this run measured
};

/// Calibrates and measures every option of every linear layer, reusing what the work folder holds,
/// leaves the weights that measure_sensitivity wants in the work folder, gathers all records on
/// root and writes measurement.json there. keep_hessians: leave them for quantize_model.
/// Collective.
/// @throws Failure(no_input) where the measurement is borrowed and not complete
MeasuredModel measure_model(const waves::RunContext& context, bool keep_hessians);

/// Operations of quantizing and evaluating, of all ranks, in a job that goes on to the end.
double cost_of_later_stages(const waves::RunContext& context, bool keep_hessians);

/// Whether Hessians are to be kept: as the setting says; `auto` keeps them where they take at most
/// half of the space that is free in the work folder. Borrowed ones are not this job's to keep. The
/// same on all ranks. Collective.
bool decide_keep_hessians(const waves::RunContext& context);

}  // namespace shardquant::stages
