#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/model/model_layout.hpp"
#include "pipeline/waves/sum_over_slices.hpp"

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

/// Bound for a run on the CPU back end. threads: of one rank. sketches: err_norm row_mean.
/// evaluation_rows: of the slices' length, at most. Pure.
MemoryPlan plan_memory(const model::ModelDescription& description, const model::ModelLayout& layout,
                       const waves::Slices& slices, int ranks, int threads, bool sketches,
                       std::int64_t evaluation_rows);

}  // namespace shardquant::forecast
