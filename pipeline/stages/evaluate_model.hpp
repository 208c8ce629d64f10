#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/evaluation/compare_models.hpp"
#include "pipeline/stages/allocate_bits.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// How far the output is from the model it was made of, on rows that calibration did not see.
struct Evaluation {
  std::int64_t rows = 0;
  std::int64_t length = 0;
  std::string rows_hash;             ///< XXH3-128 of their tokens
  evaluation::Comparison figures;    ///< "other" is the output
  std::vector<double> block_errors;  ///< of the hidden states after every block
};

/// Ends the run with bad_data before any work where a validation row holds an id that the model
/// does not have. Collective.
void check_validation_rows(const waves::RunContext& context);

/// Compares the published output with the model, batches of validation rows dealt out over the
/// ranks. The figures are the same for any number of ranks. What is known of a batch is kept, so
/// that a run which was ended goes on with the next one. Nothing where evaluation.rows is 0 or no
/// rows are left for it; complete on root, nothing elsewhere. Collective.
/// @throws Failure as compare_batches; try_again where the run is to stop
std::optional<Evaluation> evaluate_model(const waves::RunContext& context,
                                         const output::AllocatedModel& allocated);

/// Operations of the evaluation, as work_cost.hpp counts them.
double evaluation_cost(const waves::Job& job);

}  // namespace shardquant::stages
