#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/evaluation/document_batch.hpp"
#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/model/model_view.hpp"

namespace shardquant::evaluation {

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
                                             const model::ModelView& model,
                                             const Documents& documents,
                                             const std::vector<DocumentBatch>& batches,
                                             const EvaluateSettings& settings = {});

}  // namespace shardquant::evaluation
