#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/model/model_view.hpp"
#include "pipeline/model/run_block.hpp"

namespace shardquant::evaluation {

/// Tokens that go through a block together at least, where there are as many.
inline constexpr std::int64_t kBatchTokens = 4096;

/// Tokens of documents, of any length from 1 on.
using Documents = std::vector<std::vector<std::int32_t>>;

/// Documents that go through a block together, as rows of one length: shorter ones are filled up at
/// their end, where causal attention keeps it from mattering.
struct DocumentBatch {
  std::int64_t length = 0;
  std::vector<std::int64_t> documents;  ///< indices

  std::int64_t tokens() const { return std::ssize(documents) * length; }
};

/// Batches of documents of similar length. Depends on the documents alone, so that ranks which take
/// some of the batches each find the same numbers as one rank that takes all.
std::vector<DocumentBatch> batch_documents(const Documents& documents);

/// A batch whose hidden states are in memory. Refers to the batch, which must outlive it.
class OpenBatch {
 public:
  /// Embeds the tokens. @throws Failure(bad_data) for a token outside the vocabulary
  OpenBatch(kernels::Backend& backend, const model::ModelView& model, const Documents& documents,
            const DocumentBatch& batch);

  /// Forwards all rows through one block. @throws Failure as run_block
  void run(kernels::Backend& backend, const model::ModelDescription& description,
           const model::BlockWeights& weights);

  const DocumentBatch& batch() const { return *batch_; }
  /// Tokens of the document in row `row`.
  std::int64_t size(std::int64_t row) const { return sizes_[static_cast<std::size_t>(row)]; }
  /// The token after each one of its document, -1 where there is none: [tokens()]
  std::vector<std::int32_t> targets() const;
  /// [tokens(), hidden_size]
  kernels::ConstMatrixView hidden() const { return hidden_.view(); }

 private:
  const DocumentBatch* batch_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::int64_t> sizes_;
  kernels::Matrix hidden_;
};

/// The batches [first, end) that a pass forwards together: as many as their hidden states, of
/// `token_bytes` per token, fit into `most_bytes`, one at least. @pre first < batches.size()
std::size_t end_of_pass(std::span<const DocumentBatch> batches, std::size_t first,
                        std::int64_t token_bytes, std::int64_t most_bytes);

/// The batches after the last block, weights loaded block by block. They refer to `batches`.
/// @throws Failure as OpenBatch and load_block_weights
std::vector<OpenBatch> forward_pass(kernels::Backend& backend, const model::ModelView& model,
                                    const Documents& documents,
                                    std::span<const DocumentBatch> batches);

}  // namespace shardquant::evaluation
