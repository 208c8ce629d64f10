#pragma once

#include <cstdint>

#include "pipeline/model/model_description.hpp"

namespace shardquant::stages {

/// Costs, by which work is dealt out: floating point operations, as those of a GEMM; a scale search
/// step counts as the GEMM operations that take as long (measured on the CPU back end:
/// tests/bench/README.md). Sources: performance.md section 2. All pure.

/// Factorization and `options` options of every layer of the group. The head is not measured: its
/// Hessian is only added up.
double measure_cost(const model::ModelLayout& layout, const model::HessianGroup& group,
                    std::int64_t options);
/// The part of one layer (not the head); the first of a group has the factorization in it.
double measure_layer_cost(const model::ModelLayout& layout, std::int64_t layer,
                          std::int64_t options);
/// Factorization and one option of every layer of the group.
double quantize_cost(const model::ModelLayout& layout, const model::HessianGroup& group);

/// What a piece of work takes, by the kinds of operations that a machine does at different rates.
struct WorkAmount {
  double forward = 0.0;  ///< operations of linear layers and attention
  double hessian = 0.0;  ///< operations of X^T X, one triangle
  double factor = 0.0;   ///< operations of Cholesky factorizations
  double update = 0.0;   ///< operations that carry errors on to later rows
  double search = 0.0;   ///< steps of the scale search: one weight, one shrink factor
  double weights = 0.0;  ///< weights rounded, times options

  WorkAmount& operator+=(const WorkAmount& other);
};

/// Factorization and `options` options of every layer of the group; what options share is taken
/// once.
WorkAmount group_work(const model::ModelLayout& layout, const model::HessianGroup& group,
                      std::int64_t options);
/// Forward pass of one block (`layers`: the head) and its Hessians over `tokens` tokens in rows of
/// `length`.
WorkAmount block_work(const model::ModelDescription& description, const model::ModelLayout& layout,
                      std::int64_t block, std::int64_t tokens, std::int64_t length);

}  // namespace shardquant::stages
