#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/checkpoint/work_folder.hpp"
#include "pipeline/config/run_config.hpp"

namespace shardquant::calibration {

struct PreparedRows {
  std::filesystem::path tokens;    ///< to be used as `calibration.tokens`
  std::vector<std::string> notes;  ///< what every source was taken for; none of a token file
};

/// Makes the rows that a job asks for and writes them into the work folder: calibration_rows.i32
/// (not from `calibration.tokens`, which has them), where asked for measurement_rows.i32,
/// validation_rows.i32 for the evaluation, and calibration.json with what they were made of. What
/// is there already must be the same. Nothing is written where an id is none of `vocab_size`. On
/// one rank.
/// @throws Failure: bad_data where the sources give other rows than those that are there; as
/// open_tokenizer, make_row_sets, write_durably
PreparedRows prepare_rows(const config::RunConfig& config, const checkpoint::WorkFolder& work,
                          std::int64_t vocab_size);

}  // namespace shardquant::calibration
