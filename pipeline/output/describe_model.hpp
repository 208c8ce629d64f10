#pragma once

#include <filesystem>

#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/report/model_card.hpp"

namespace shardquant::output {

/// The part of a card that the source folder, its description and the format give.
report::ModelCard card_of_model(const std::filesystem::path& source,
                                const model::ModelDescription& description,
                                const model::ModelLayout& layout,
                                const weights::WeightFormat& format);

}  // namespace shardquant::output
