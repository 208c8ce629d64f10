#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/stages/source_model.hpp"
#include "pipeline/stages/sum_over_slices.hpp"

namespace shardquant::stages {

/// What one rank may hold at its peak, term by term, in bytes. An upper bound: it depends on the
/// largest block and on the rank's slices, not on the number of blocks.
struct MemoryPlan {
  struct Term {
    std::string what;
    std::int64_t bytes = 0;
  };
  std::vector<Term> terms;

  std::int64_t bytes() const;
};

/// Bound for a run on the CPU back end. threads: of one rank. sketches: err_norm row_mean.
/// evaluation_rows: of the slices' length, at most.
MemoryPlan plan_memory(const SourceModel& model, const Slices& slices, int ranks, int threads,
                       bool sketches, std::int64_t evaluation_rows);

}  // namespace shardquant::stages
