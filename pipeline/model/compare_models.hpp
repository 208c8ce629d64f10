#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/model/document_batch.hpp"
#include "pipeline/model/evaluate_rows.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

/// A model to be evaluated; refers to what describes it.
struct ModelView {
  const ModelDescription& description;
  const ModelLayout& layout;
  const WeightSource& source;
};

/// What two models say of the token after a place of a document. Natural logarithms.
struct TokenComparison {
  std::int64_t document = 0;
  std::int64_t place = 0;
  double divergence = 0.0;  ///< sum over the vocabulary of p (log p - log q), p of the plain model
  double plain_nll = 0.0;   ///< of the token that follows
  double other_nll = 0.0;
  std::int64_t same_top = 0;  ///< 1: both think the same token likeliest
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

/// Forwards the documents of `batches` through both models and compares what they say, at every
/// token but the last of a document. Blocks are loaded one at a time, of one model after the other;
/// hidden states of both models are held for as many batches as settings.hidden_bytes allows,
/// logits for one piece of a batch. `other` has the vocabulary of `plain`.
/// @throws Failure as evaluate_documents; bad_data where the vocabularies differ or a logit is NaN
/// or infinite
std::vector<TokenComparison> compare_models(kernels::Backend& backend, const ModelView& plain,
                                            const ModelView& other, const Documents& documents,
                                            const std::vector<DocumentBatch>& batches,
                                            const EvaluateSettings& settings = {});

/// Figures of all tokens. Sorts them by document and place first, so that the sums do not depend on
/// who computed what. @pre not empty
Comparison summarize(std::vector<TokenComparison> tokens);

}  // namespace shardquant::model
