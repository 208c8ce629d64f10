#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/model/rope_settings.hpp"

namespace shardquant::model {

/// Radians per position of each pair of a head, [head_dim / 2], as Hugging Face's
/// rope_init_functions define them: theta^(-2 i / head_dim); `linear` divides all by factor;
/// `llama3` divides those whose wave is longer than original_max_position_embeddings /
/// low_freq_factor, keeps those shorter than original_max_position_embeddings / high_freq_factor
/// and blends between.
std::vector<double> rope_frequencies(const RopeSettings& settings, std::int64_t head_dim);

/// What Backend::rotate wants: cosine and sine of position * frequency, [row_length, head_dim / 2]
/// each, computed in double. Positions count from 0 in every row.
struct RopeTable {
  kernels::Matrix cosines;
  kernels::Matrix sines;
};

RopeTable make_rope_table(kernels::Backend& backend, const RopeSettings& settings,
                          std::int64_t head_dim, std::int64_t row_length);

}  // namespace shardquant::model
