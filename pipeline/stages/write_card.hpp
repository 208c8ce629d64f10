#pragma once

#include <filesystem>
#include <optional>

#include "pipeline/report/model_card.hpp"
#include "pipeline/stages/evaluate_model.hpp"

namespace shardquant::stages {

/// The part of a card that the source folder and its description give.
report::ModelCard card_of_model(const std::filesystem::path& source,
                                const model::ModelDescription& description);

/// Root writes README.md into the published output folder, durably; the last step of a job. One
/// that was changed by hand since is left alone, with a line in the log. Collective.
void write_card(const RunContext& context, const AllocatedModel& allocated,
                const std::optional<Evaluation>& evaluation);

}  // namespace shardquant::stages
