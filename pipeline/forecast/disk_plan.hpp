#pragma once

#include <cstdint>
#include <filesystem>

#include "pipeline/config/run_config.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::forecast {

/// What a job that begins anew puts on disk at most, in bytes.
struct DiskPlan {
  std::int64_t hessians = 0;       ///< of all groups, where they are kept
  std::int64_t hidden_states = 0;  ///< two generations, and one in the making
  std::int64_t trials = 0;  ///< weights and states of the sensitivities, until those are known
  std::int64_t output = 0;  ///< the folder of the quantized model
};

/// From shapes and the job alone, pure. Not counted: small files (measurements, records, logs).
/// keep_hessians: of all groups, from measuring to quantizing.
DiskPlan plan_disk(const model::ModelDescription& description, const model::ModelLayout& layout,
                   const config::RunConfig& config, bool keep_hessians);

/// Bytes of all files under a folder; 0 where there is none. What cannot be read is left out.
std::int64_t bytes_in(const std::filesystem::path& folder);

}  // namespace shardquant::forecast
