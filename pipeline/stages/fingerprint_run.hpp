#pragma once

#include <string>
#include <vector>

#include "pipeline/checkpoint/run_fingerprint.hpp"
#include "pipeline/config/run_config.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/source_model.hpp"

namespace shardquant::stages {

/// The field that tells builds of this program apart.
inline constexpr const char* kBuildField = "build";

/// All that Hessians and measurements depend on, as named fields: the model's config, tensor
/// headers and contents, the calibration tokens, the settings of measuring, the option table, the
/// build of this program. Not the budget: one measurement serves all sizes. Reads the token file
/// whole. file_hashes: from hash_model.
checkpoint::RunFingerprint fingerprint_run(const config::RunConfig& config,
                                           const model::SourceModel& model,
                                           const weights::WeightFormat& format,
                                           const std::vector<std::string>& file_hashes);

/// The fields of such a fingerprint that Hessians and the model's perplexity depend on: runs that
/// agree on them may share those.
checkpoint::RunFingerprint calibration_part(const checkpoint::RunFingerprint& fingerprint);

}  // namespace shardquant::stages
