#pragma once

#include <filesystem>

#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/config/run_config.hpp"

namespace shardquant::calibration {

/// Makes the rows that `calibration.text` or `calibration.sources` ask for and writes them into the
/// work folder: calibration_rows.i32, where asked for measurement_rows.i32 and validation_rows.i32,
/// and calibration.json with what they were made of. What is there already must be the same. Ids
/// are checked when rows are read. On one rank.
/// Returns the file to be used as `calibration.tokens`.
/// @throws Failure: bad_data where the sources give other rows than those that are there; as
/// open_tokenizer, make_row_sets, write_durably
std::filesystem::path prepare_rows(const config::RunConfig& config,
                                   const checkpoint::WorkFolder& work);

}  // namespace shardquant::calibration
