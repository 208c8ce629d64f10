#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/evaluation/document_batch.hpp"
#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/model/model_view.hpp"

namespace shardquant::evaluation {

/// What two models say of the token after a place of a document. Natural logarithms.
struct TokenComparison {
  std::int64_t document = 0;
  std::int64_t place = 0;
  double divergence = 0.0;  ///< sum over the vocabulary of p (log p - log q), p of the plain model
  double plain_nll = 0.0;   ///< of the token that follows
  double other_nll = 0.0;
  std::int64_t same_top = 0;  ///< 1: both think the same token likeliest
};

/// How far apart the hidden states of two models are after a block, over the tokens of a batch.
struct StateDifference {
  std::int64_t batch = 0;  ///< index into the batches
  std::int64_t block = 0;
  double squared = 0.0;        ///< sum of (other - plain)^2
  double plain_squared = 0.0;  ///< sum of plain^2
};

/// What was found of one batch.
struct ComparedBatch {
  std::int64_t batch = 0;  ///< index into the batches
  std::vector<TokenComparison> tokens;
  std::vector<StateDifference> states;  ///< by block; empty where the models' shapes differ
};

/// What compare_batches may hold, and whom it tells. Functions may be empty.
struct CompareSettings {
  std::int64_t hidden_bytes = std::int64_t{1} << 30;  ///< of both models; more go in passes
  std::function<void(double)> progress;  ///< tokens that went through one more block or the head
  std::function<bool()> should_stop;     ///< asked between blocks
};

/// Figures over tokens.
struct Comparison {
  std::int64_t tokens = 0;
  double mean_divergence = 0.0;
  double divergence_99 = 0.0;  ///< 99th percentile: of n sorted values the ceil(0.99 n)th
  double top_agreement = 0.0;  ///< share of same_top
  double plain_perplexity = 0.0;
  double other_perplexity = 0.0;
};

/// The comparison of two rows of logits of one vocabulary, in double precision; the likeliest token
/// is the first of equals. `document` and `place` are left at 0. @pre target in [0, size)
TokenComparison compare_logits(std::span<const float> plain, std::span<const float> other,
                               std::int32_t target);

/// Forwards the documents of `batches` through both models side by side and compares their hidden
/// states after every block and what they say in the end, at every token but the last of a
/// document. Blocks are loaded one at a time; hidden states of both models are held for as many
/// batches as settings.hidden_bytes allows, logits for one piece of a batch. `other` has the
/// vocabulary of `plain`. Every batch goes to `take` when its pass is through. False where
/// settings.should_stop ended it before the last pass.
/// @throws Failure as evaluate_documents; bad_data where the vocabularies differ or a logit is NaN
/// or infinite
bool compare_batches(kernels::Backend& backend, const model::ModelView& plain,
                     const model::ModelView& other, const Documents& documents,
                     const std::vector<DocumentBatch>& batches, const CompareSettings& settings,
                     const std::function<void(const ComparedBatch&)>& take);

/// The tokens' part of compare_batches, in one list.
std::vector<TokenComparison> compare_models(kernels::Backend& backend,
                                            const model::ModelView& plain,
                                            const model::ModelView& other,
                                            const Documents& documents,
                                            const std::vector<DocumentBatch>& batches,
                                            const CompareSettings& settings = {});

/// By block: sqrt(sum of squared / sum of plain_squared) over all batches, added in the order of
/// batches. Empty where there are none.
std::vector<double> errors_along_blocks(std::vector<StateDifference> states);

/// Figures of all tokens. Sorts them by document and place first, so that the sums do not depend on
/// who computed what. @pre not empty
Comparison summarize(std::vector<TokenComparison> tokens);

}  // namespace shardquant::evaluation
