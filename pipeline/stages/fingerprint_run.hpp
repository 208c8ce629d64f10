#pragma once

#include "pipeline/checkpoint/run_fingerprint.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/stages/source_model.hpp"

namespace shardquant::stages {

/// All that Hessians and measurements depend on, as named fields: the model's config and tensor
/// headers, the calibration tokens, the settings of measuring, the option table, the version of
/// this program. Not the budget: one measurement serves all sizes. Reads the token file whole.
checkpoint::RunFingerprint fingerprint_run(const config::RunConfig& config,
                                           const SourceModel& model);

}  // namespace shardquant::stages
