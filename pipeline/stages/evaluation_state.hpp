#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pipeline/evaluation/compare_models.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

// What is known of evaluated batches, one file each in the work folder. `run` says which output and
// which rows they are of: what is of others is as if it were not there.

/// @throws Failure(io_error)
void save_batch(const waves::Job& job, const std::string& run,
                const evaluation::ComparedBatch& batch);

/// Nothing where there is none of that run, or a damaged one, which is set aside.
std::optional<evaluation::ComparedBatch> load_batch(const waves::Job& job, const std::string& run,
                                                    std::int64_t index);

}  // namespace shardquant::stages
