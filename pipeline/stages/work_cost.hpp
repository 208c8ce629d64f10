#pragma once

#include <cstdint>
#include <span>

#include "pipeline/model/model_description.hpp"

namespace shardquant::stages {

/// Floating point operations, as those of a GEMM, that a work item takes; a scale search step
/// counts as the GEMM operations that take as long (measured on the CPU back end:
/// tests/bench/README.md). Sources: performance.md section 2.

/// Factorization and `options` options of every layer of the group.
double measure_cost(const model::ModelLayout& layout, const model::HessianGroup& group,
                    std::int64_t options);
/// Factorization and one option of every layer of the group.
double quantize_cost(const model::ModelLayout& layout, const model::HessianGroup& group);
/// Forward pass of one block and its Hessians over `tokens` tokens.
double forward_cost(const model::ModelLayout& layout, std::int64_t block, std::int64_t tokens);

}  // namespace shardquant::stages
