#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/model/evaluate_rows.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

/// Tokens of documents, of any length from 1 on.
using Documents = std::vector<std::vector<std::int32_t>>;

/// Documents that go through a block together, as rows of one length: shorter ones are filled up at
/// their end, where causal attention keeps it from mattering.
struct DocumentBatch {
  std::int64_t length = 0;
  std::vector<std::int64_t> documents;  ///< indices
};

/// Batches of documents of similar length. Depends on the documents alone, so that ranks which take
/// some of the batches each find the same numbers as one rank that takes all.
std::vector<DocumentBatch> batch_documents(const Documents& documents);

/// Loss of a document.
struct DocumentLoss {
  std::int64_t document = 0;
  RowLoss loss;
};

/// Forwards the documents of `batches` through the model, every one as a row of its own, and
/// returns their losses in the order of the batches; every token but the first of a document is
/// predicted. Weights are loaded block by block, once per as many batches as settings.hidden_bytes
/// allows.
/// @throws Failure as evaluate_rows; bad_data for a token outside the vocabulary
std::vector<DocumentLoss> evaluate_documents(kernels::Backend& backend,
                                             const ModelDescription& description,
                                             const ModelLayout& layout, const WeightSource& source,
                                             const Documents& documents,
                                             const std::vector<DocumentBatch>& batches,
                                             const EvaluateSettings& settings = {});

}  // namespace shardquant::model
