#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/commands/evaluation_rows.hpp"
#include "pipeline/evaluation/compare_models.hpp"
#include "pipeline/evaluation/evaluate_documents.hpp"
#include "pipeline/evaluation/token_mean.hpp"

namespace shardquant::commands {

/// What was found on some rows.
struct EvaluationFigures {
  evaluation::TokenMean loss;                        ///< negative log likelihood
  std::optional<evaluation::Comparison> comparison;  ///< with the plain model
  evaluation::TokenMean divergence;                  ///< of a comparison

  double perplexity() const { return evaluation::perplexity_of(loss.mean); }
  /// Of the perplexity: its derivative, itself, times the error of the mean loss. NaN: one row.
  double perplexity_error() const { return perplexity() * loss.standard_error; }
};

/// Figures of all rows and, where they come from several files, of every one with rows.
struct Evaluated {
  EvaluationFigures all;
  std::vector<std::pair<std::string, EvaluationFigures>> by_file;
};

/// From what all ranks found, in any order: one value for every row, or for every predicted token.
/// The same bytes for the same values.
Evaluated figures_of(const EvaluationRows& rows, std::vector<evaluation::DocumentLoss> losses);
Evaluated figures_of(const EvaluationRows& rows, std::vector<evaluation::TokenComparison> tokens);

/// To standard output, as a table or one JSON object.
void print_evaluated(const EvaluationRows& rows, const Evaluated& evaluated, bool as_json);

}  // namespace shardquant::commands
