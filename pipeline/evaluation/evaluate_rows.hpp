#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/formats/token_stream.hpp"
#include "pipeline/model/model_view.hpp"

namespace shardquant::evaluation {

/// How well a row was predicted.
struct RowLoss {
  double nll = 0.0;            ///< sum over its predicted tokens, natural logarithm
  std::int64_t predicted = 0;  ///< its length less one
};

/// perplexity_of(sum of nll / sum of predicted), added in the given order.
double perplexity(std::span<const RowLoss> rows);

/// exp(mean_nll), but 1e308 at most: the files it goes into know no infinity.
double perplexity_of(double mean_nll);

/// Rows [first, first + count) of a token stream in rows of `length`.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t length = 0;
};

/// What evaluate_rows may hold, and whom it tells.
struct EvaluateSettings {
  std::int64_t hidden_bytes = std::int64_t{1} << 30;  ///< hidden states; more rows go in passes
  std::function<void(double)> progress;  ///< share done, 0..1, after every block; may be empty
};

/// Rows that go through a block together. Rows whose index is congruent share a batch whatever the
/// range, so ranges that begin and end at multiples of it give the same bytes as one range would.
std::int64_t evaluation_batch_rows(std::int64_t length);

/// Forwards rows through the model and returns the loss of each; every position but the first of a
/// row is predicted. Weights are loaded block by block, once per pass over as many rows as
/// hidden_bytes allows.
/// @throws Failure as WeightSource, TokenStream and run_block
std::vector<RowLoss> evaluate_rows(kernels::Backend& backend, const model::ModelView& model,
                                   const formats::TokenStream& tokens, const RowRange& range,
                                   const EvaluateSettings& settings = {});

}  // namespace shardquant::evaluation
