#include "pipeline/evaluation/evaluate_documents.hpp"

#include <numeric>

#include "pipeline/model/run_head.hpp"

namespace shardquant::evaluation {

namespace {

void append_losses(kernels::Backend& backend, const model::ModelDescription& description,
                   const model::HeadWeights& head, const OpenBatch& open,
                   std::vector<DocumentLoss>& losses) {
  const DocumentBatch& batch = open.batch();
  std::vector<double> of_tokens(static_cast<std::size_t>(batch.tokens()));
  model::run_head(backend, head, description, open.hidden(), open.targets(), of_tokens);
  for (std::int64_t row = 0; row < std::ssize(batch.documents); ++row) {
    const auto first = of_tokens.begin() + row * batch.length;
    const std::int64_t predicted = open.size(row) - 1;
    losses.push_back({batch.documents[static_cast<std::size_t>(row)],
                      {std::accumulate(first, first + predicted, 0.0), predicted}});
  }
}

}  // namespace

std::vector<DocumentLoss> evaluate_documents(kernels::Backend& backend,
                                             const model::ModelView& model,
                                             const Documents& documents,
                                             const std::vector<DocumentBatch>& batches,
                                             const EvaluateSettings& settings) {
  const std::int64_t token_bytes =
      model.description.hidden_size * static_cast<std::int64_t>(sizeof(float));
  std::vector<DocumentLoss> losses;
  for (std::size_t next = 0; next < batches.size();) {
    const std::size_t end = end_of_pass(batches, next, token_bytes, settings.hidden_bytes);
    const auto pass =
        forward_pass(backend, model, documents, std::span(batches).subspan(next, end - next));
    next = end;
    const model::HeadWeights head = model::load_head_weights(backend, model.source, model.layout);
    for (const OpenBatch& batch : pass)
      append_losses(backend, model.description, head, batch, losses);
    if (settings.progress) {
      settings.progress(static_cast<double>(next) / static_cast<double>(batches.size()));
    }
  }
  return losses;
}

}  // namespace shardquant::evaluation
