#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/config/run_config.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"

namespace shardquant::forecast {

/// What one rank may hold at its peak, term by term, in bytes. An upper bound: it depends on the
/// largest block and on the rank's slices, not on the number of blocks.
struct MemoryPlan {
  struct Term {
    std::string what;
    std::int64_t bytes = 0;
    bool computed_on = false;  ///< in the memory of the device, where that has one of its own
  };
  std::vector<Term> terms;

  /// Counts what a loaded CUDA module and its libraries take.
  void add_cuda_libraries();

  std::int64_t bytes() const;
  /// The part that is computed on.
  std::int64_t device_bytes() const;
};

/// Bound for a job on the CPU back end. Pure.
MemoryPlan plan_memory(const model::ModelDescription& description, const model::ModelLayout& layout,
                       const weights::WeightFormat& format, const config::RunConfig& config,
                       int ranks);

}  // namespace shardquant::forecast
