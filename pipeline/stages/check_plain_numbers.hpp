#pragma once

#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// Reads, before any work, all that the output takes over as fp16: embedding, norms, biases, and
/// the head where it is not quantized. Each rank reads its share. Collective.
/// @throws Failure(bad_data) naming tensor, index and count, where a value is NaN, infinite or
/// beyond 65504
void check_plain_numbers(const waves::RunContext& context);

}  // namespace shardquant::stages
