#pragma once

#include <vector>

#include "pipeline/output/output_layout.hpp"
#include "pipeline/waves/measure_group.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// What a run had to do to get by with its numbers, as text: Hessians that needed more damping,
/// fp64, or whose layers are rounded to nearest; inputs that were never used; groups of weights
/// that the chosen options (null: none are) flush to zero. One line where all went as asked.
std::vector<std::string> numerical_summary(const model::SourceModel& model,
                                           const std::vector<waves::MeasuredLayer>& records,
                                           const output::LayerOptions* options);

/// Root logs the summary of the records and writes it to events.jsonl; the other ranks do nothing.
void report_numerics(const waves::RunContext& context,
                     const std::vector<waves::MeasuredLayer>& records,
                     const output::LayerOptions* options);

/// Throws Failure(bad_data) naming the groups, where the records have more layers rounded to
/// nearest than quantizer.max_rtn_layers.
void require_rtn_within_limit(const model::SourceModel& model,
                              const std::vector<waves::MeasuredLayer>& records,
                              std::int64_t max_rtn_layers);

}  // namespace shardquant::stages
