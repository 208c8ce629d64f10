#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pipeline/commands/commands.hpp"
#include "pipeline/evaluation/document_batch.hpp"

namespace shardquant::commands {

/// Rows that a model is evaluated on, and the files they come from.
struct EvaluationRows {
  evaluation::Documents rows;  ///< of two tokens or more
  std::vector<std::string> files;
  std::vector<std::size_t> file_of_row;  ///< index into files, never falling
  std::vector<std::string> notes;        ///< what the files were taken for, and warnings
};

/// The rows of `--tokens`, of arguments.length each, or of `--text`: every document cut into rows
/// of arguments.length tokens (where that is 0, of 2048 or as many as the model has positions), the
/// rest being a row of its own; all of them, or the first arguments.rows.
/// @throws Failure: as reading text and tokens; bad_data where there is nothing to predict
EvaluationRows read_evaluation_rows(const EvalArguments& arguments,
                                    const model::ModelDescription& description);

}  // namespace shardquant::commands
