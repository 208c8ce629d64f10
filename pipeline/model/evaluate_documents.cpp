#include "pipeline/model/evaluate_documents.hpp"

#include <algorithm>
#include <numeric>

#include "pipeline/failure.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::model {

namespace {

constexpr std::int64_t kBatchTokens = 4096;
constexpr std::int64_t kLengthStep = 32;  // lengths of rows are multiples of it

/// A batch whose hidden states are in memory.
class OpenBatch {
 public:
  OpenBatch(kernels::Backend& backend, const ModelDescription& description,
            const WeightSource& source, const Documents& documents, const DocumentBatch& batch)
      : batch_(batch), hidden_(backend.allocate(rows() * batch.length, description.hidden_size)) {
    for (const std::int64_t index : batch.documents) {
      const auto& document = documents[static_cast<std::size_t>(index)];
      for (const std::int32_t id : document) {
        if (id >= 0 && id < description.vocab_size) continue;
        fail(ExitCode::bad_data, "document {}: token {} is outside the vocabulary of {}", index, id,
             description.vocab_size);
      }
      tokens_.insert(tokens_.end(), document.begin(), document.end());
      tokens_.resize(tokens_.size() + static_cast<std::size_t>(batch.length) - document.size());
      sizes_.push_back(std::ssize(document));
    }
    embed_tokens(backend, source, tokens_, hidden_);
  }

  void run(kernels::Backend& backend, const ModelDescription& description,
           const BlockWeights& weights) {
    BlockWorkspace workspace(backend, description, std::ssize(tokens_), batch_.length);
    run_block(backend, weights, description, hidden_, workspace);
  }

  void finish(kernels::Backend& backend, const ModelDescription& description,
              const HeadWeights& head, std::vector<DocumentLoss>& losses) {
    std::vector<std::int32_t> targets(tokens_.size(), -1);
    for (std::int64_t row = 0; row < rows(); ++row) {
      for (std::int64_t t = 0; t + 1 < sizes_[static_cast<std::size_t>(row)]; ++t) {
        targets[place(row, t)] = tokens_[place(row, t + 1)];
      }
    }
    std::vector<double> of_tokens(tokens_.size());
    run_head(backend, head, description, hidden_, targets, of_tokens);
    for (std::int64_t row = 0; row < rows(); ++row) {
      const auto first = of_tokens.begin() + static_cast<std::ptrdiff_t>(place(row, 0));
      const std::int64_t predicted = sizes_[static_cast<std::size_t>(row)] - 1;
      losses.push_back({batch_.documents[static_cast<std::size_t>(row)],
                        {std::accumulate(first, first + predicted, 0.0), predicted}});
    }
  }

 private:
  std::int64_t rows() const { return std::ssize(batch_.documents); }
  std::size_t place(std::int64_t row, std::int64_t token) const {
    return static_cast<std::size_t>(row * batch_.length + token);
  }

  const DocumentBatch& batch_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::int64_t> sizes_;
  kernels::Matrix hidden_;
};

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

std::vector<DocumentLoss> evaluate_documents(kernels::Backend& backend,
                                             const ModelDescription& description,
                                             const ModelLayout& layout, const WeightSource& source,
                                             const Documents& documents,
                                             const std::vector<DocumentBatch>& batches,
                                             const EvaluateSettings& settings) {
  const auto batch_bytes = [&](const DocumentBatch& batch) {
    return std::ssize(batch.documents) * batch.length * description.hidden_size *
           static_cast<std::int64_t>(sizeof(float));
  };
  std::vector<DocumentLoss> losses;
  for (std::size_t next = 0; next < batches.size();) {
    std::vector<OpenBatch> pass;
    std::int64_t bytes = 0;
    while (next < batches.size()) {
      bytes += batch_bytes(batches[next]);
      if (!pass.empty() && bytes > settings.hidden_bytes) break;
      pass.emplace_back(backend, description, source, documents, batches[next++]);
    }
    for (std::int64_t block = 0; block < description.layers; ++block) {
      const BlockWeights weights = load_block_weights(backend, source, description, block);
      for (OpenBatch& batch : pass) batch.run(backend, description, weights);
    }
    const HeadWeights head = load_head_weights(backend, source, layout);
    for (OpenBatch& batch : pass) batch.finish(backend, description, head, losses);
    if (settings.progress) {
      settings.progress(static_cast<double>(next) / static_cast<double>(batches.size()));
    }
  }
  return losses;
}

}  // namespace shardquant::model
