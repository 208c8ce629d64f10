#pragma once

#include <cstdint>

#include "pipeline/model/model_layout.hpp"

namespace shardquant::evaluation {

/// Hidden states of both models that a comparison holds in one pass; more rows go in further
/// passes, which read the weights again.
inline constexpr std::int64_t kHiddenBytes = std::int64_t{256} << 20;

/// Bytes of the hidden states of one token, of both models.
std::int64_t hidden_bytes_per_token(const model::ModelDescription& description);

/// Floating point operations of comparing two models on this many tokens.
double evaluation_operations(const model::ModelLayout& layout, std::int64_t tokens);

/// Bytes one rank holds at its peak while it compares two models on `rows` rows, beside program and
/// libraries.
std::int64_t evaluation_bytes(const model::ModelDescription& description,
                              const model::ModelLayout& layout, std::int64_t rows,
                              std::int64_t length);

}  // namespace shardquant::evaluation
