#pragma once

#include <optional>

#include "pipeline/stages/evaluate_model.hpp"

namespace shardquant::stages {

/// Root writes README.md into the published output folder, durably; the last step of a job. One
/// that was changed by hand since is left alone, with a line in the log. Collective.
void write_card(const waves::RunContext& context, const output::AllocatedModel& allocated,
                const std::optional<Evaluation>& evaluation);

}  // namespace shardquant::stages
