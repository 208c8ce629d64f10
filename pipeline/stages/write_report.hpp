#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/stages/evaluate_model.hpp"
#include "pipeline/stages/measure_model.hpp"
#include "pipeline/stages/stage_times.hpp"

namespace shardquant::stages {

/// What a finished run has to say. measured: on root. Collective.
report::RunReport describe_run(const waves::RunContext& context, const MeasuredModel& measured,
                               const output::AllocatedModel& allocated,
                               const std::optional<Evaluation>& evaluation,
                               const StageTimes& times);

/// Root writes report.json and report.html into the work folder. A run that found all of its output
/// made leaves those of the run that made it. Collective.
void write_report(const waves::RunContext& context, const MeasuredModel& measured,
                  const output::AllocatedModel& allocated,
                  const std::optional<Evaluation>& evaluation, const StageTimes& times);

}  // namespace shardquant::stages
