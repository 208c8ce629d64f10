#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/api/backend.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/model_view.hpp"

namespace shardquant::model {

/// Fills `hidden` [T, hidden_size] with the embedding rows of T tokens, scaled as the family has
/// it. Only those rows are read.
/// @pre tokens in [0, vocab_size)
/// @throws Failure as WeightSource
void embed_tokens(kernels::Backend& backend, const ModelView& model,
                  std::span<const std::int32_t> tokens, kernels::MatrixView hidden);

/// Final norm and head in the back end's memory.
struct HeadWeights {
  kernels::Matrix norm;    ///< [1, hidden_size]
  kernels::Matrix weight;  ///< [vocab_size, hidden_size]
};

/// @throws Failure as WeightSource
HeadWeights load_head_weights(kernels::Backend& backend, const WeightSource& source,
                              const ModelLayout& layout);

/// Logits of normalized hidden states. x: [T, hidden_size]; logits: [T, vocab_size]
void head_logits(kernels::Backend& backend, const HeadWeights& weights,
                 const ModelDescription& description, kernels::ConstMatrixView x,
                 kernels::MatrixView logits);

/// Tokens whose logits are held at a time; depends on the vocabulary alone.
std::int64_t head_chunk_tokens(const ModelDescription& description);

/// Bytes run_head allocates: normalized hidden states and logits of one chunk.
std::int64_t run_head_workspace_bytes(const ModelDescription& description);

/// Takes the head's inputs, [T', hidden_size], chunk after chunk in the order of the tokens.
using HeadInputTaker = std::function<void(kernels::ConstMatrixView x)>;

/// Negative log likelihood of targets[t] after hidden[t]; 0 where the target is negative. hidden:
/// [T, hidden_size], unchanged; targets, losses: [T] host, or both empty: then no logits are
/// computed. on_head_input may be empty. @throws Failure(bad_data) where a loss is NaN or infinite
void run_head(kernels::Backend& backend, const HeadWeights& weights,
              const ModelDescription& description, kernels::ConstMatrixView hidden,
              std::span<const std::int32_t> targets, std::span<double> losses,
              const HeadInputTaker& on_head_input = {});

}  // namespace shardquant::model
