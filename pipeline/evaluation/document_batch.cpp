#include "pipeline/evaluation/document_batch.hpp"

#include <algorithm>
#include <numeric>

#include "pipeline/failure.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::evaluation {

namespace {

constexpr std::int64_t kLengthStep = 32;  // lengths of rows are multiples of it

}  // namespace

std::vector<DocumentBatch> batch_documents(const Documents& documents) {
  const auto row_length = [&](std::int64_t index) {
    const std::int64_t size = std::ssize(documents[static_cast<std::size_t>(index)]);
    return (size + kLengthStep - 1) / kLengthStep * kLengthStep;
  };
  std::vector<std::int64_t> order(documents.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return row_length(a) > row_length(b); });
  std::vector<DocumentBatch> batches;
  for (const std::int64_t index : order) {
    const std::int64_t length = row_length(index);
    const bool fits = !batches.empty() && batches.back().length == length &&
                      (std::ssize(batches.back().documents) + 1) * length <= kBatchTokens;
    if (!fits) batches.push_back({length, {}});
    batches.back().documents.push_back(index);
  }
  return batches;
}

OpenBatch::OpenBatch(kernels::Backend& backend, const model::ModelView& model,
                     const Documents& documents, const DocumentBatch& batch)
    : batch_(&batch), hidden_(backend.allocate(batch.tokens(), model.description.hidden_size)) {
  const std::int64_t vocabulary = model.description.vocab_size;
  for (const std::int64_t index : batch.documents) {
    const auto& document = documents[static_cast<std::size_t>(index)];
    for (const std::int32_t id : document) {
      if (id >= 0 && id < vocabulary) continue;
      fail(ExitCode::bad_data, "document {}: token {} is outside the vocabulary of {}", index, id,
           vocabulary);
    }
    tokens_.insert(tokens_.end(), document.begin(), document.end());
    tokens_.resize(tokens_.size() + static_cast<std::size_t>(batch.length) - document.size());
    sizes_.push_back(std::ssize(document));
  }
  model::embed_tokens(backend, model, tokens_, hidden_);
}

void OpenBatch::run(kernels::Backend& backend, const model::ModelDescription& description,
                    const model::BlockWeights& weights) {
  model::BlockWorkspace workspace(backend, *weights.layout, batch_->tokens(), batch_->length);
  model::run_block(backend, weights, description, hidden_, workspace);
}

std::vector<std::int32_t> OpenBatch::targets() const {
  std::vector<std::int32_t> targets(tokens_.size(), -1);
  for (std::size_t row = 0; row < sizes_.size(); ++row) {
    const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(row) * batch_->length;
    std::copy_n(tokens_.begin() + first + 1, sizes_[row] - 1, targets.begin() + first);
  }
  return targets;
}

std::size_t end_of_pass(std::span<const DocumentBatch> batches, std::size_t first,
                        std::int64_t token_bytes, std::int64_t most_bytes) {
  std::int64_t bytes = batches[first].tokens() * token_bytes;
  std::size_t end = first + 1;
  while (end < batches.size() && bytes + batches[end].tokens() * token_bytes <= most_bytes) {
    bytes += batches[end++].tokens() * token_bytes;
  }
  return end;
}

std::vector<OpenBatch> forward_pass(kernels::Backend& backend, const model::ModelView& model,
                                    const Documents& documents,
                                    std::span<const DocumentBatch> batches) {
  std::vector<OpenBatch> open;
  for (const DocumentBatch& batch : batches) {
    open.emplace_back(backend, model, documents, batch);
  }
  for (std::int64_t block = 0; block < model.description.layers; ++block) {
    const model::BlockWeights weights =
        model::load_block_weights(backend, model.source, model.layout, block);
    for (OpenBatch& batch : open) batch.run(backend, model.description, weights);
  }
  return open;
}

}  // namespace shardquant::evaluation
