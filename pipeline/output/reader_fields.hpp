#pragma once

#include <vector>

#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/model_description.hpp"

namespace shardquant::output {

/// Every field of config.json from which the reader of a format makes a number of the forward pass,
/// with the value that this program computes with: where the reader looks it up under another name,
/// has another default, takes into account what the model's own code ignores, or refuses a form
/// that other programs accept. Fields that both require under one name are not here.
/// EXL2: as ExLlamaV2 0.3.2 has it for its dense families (exllamav2/config.py, architecture.py).
/// What that reader cannot be told: it has no sliding window for these families.
/// Formats whose readers read config.json as transformers does have none.
std::vector<weights::ReaderField> reader_fields(const weights::WeightFormat& format,
                                                const model::ModelDescription& model);

}  // namespace shardquant::output
