#include "pipeline/evaluation/evaluation_cost.hpp"

#include <algorithm>

#include "pipeline/evaluation/document_batch.hpp"
#include "pipeline/model/run_block.hpp"
#include "pipeline/model/run_head.hpp"

namespace shardquant::evaluation {

std::int64_t hidden_bytes_per_token(const model::ModelDescription& description) {
  return 2 * description.hidden_size * static_cast<std::int64_t>(sizeof(float));
}

double evaluation_operations(const model::ModelLayout& layout, std::int64_t tokens) {
  double operations = 0.0;
  for (const model::LinearLayer& layer : layout.linear_layers) {
    operations += 2.0 * 2.0 * static_cast<double>(tokens) * static_cast<double>(layer.parameters());
  }
  return operations;
}

std::int64_t evaluation_bytes(const model::ModelDescription& description,
                              const model::ModelLayout& layout, std::int64_t rows,
                              std::int64_t length) {
  if (rows == 0) return 0;
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  const std::int64_t row_tokens = length + 31;  // as batch_documents rounds them up
  const std::int64_t tokens = std::min(std::max(kBatchTokens, row_tokens), rows * row_tokens);
  const std::int64_t token_bytes = hidden_bytes_per_token(description);
  const std::int64_t hidden =
      std::max(std::min(kHiddenBytes, rows * row_tokens * token_bytes), tokens * token_bytes);
  std::int64_t largest = 0;
  for (const model::LinearLayer& layer : layout.linear_layers) {
    largest = std::max(largest, layer.parameters());
  }
  const std::int64_t block = layout.block_weight_bytes() + 3 * largest * kFloat +
                             model::run_block_workspace_bytes(layout, tokens, row_tokens) +
                             2 * length * description.hidden_size * kFloat;
  const std::int64_t pieces = model::head_chunk_tokens(description) *
                              (description.hidden_size + 2 * description.vocab_size) * kFloat;
  const std::int64_t heads =
      2 * description.vocab_size * description.hidden_size * kFloat + 2 * largest * kFloat;
  return hidden + 2 * pieces + std::max(block, heads);
}

}  // namespace shardquant::evaluation
