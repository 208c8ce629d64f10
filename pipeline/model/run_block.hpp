#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/api/backend.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/rope_table.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

/// One transformer block in the back end's memory. Refers to the layout, which must outlive it.
struct BlockWeights {
  const ModelLayout* layout = nullptr;
  std::int64_t block = 0;
  std::vector<kernels::Matrix> weights;  ///< of BlockLayout::linear_layers
  std::vector<kernels::Matrix> biases;   ///< likewise, empty where there is none
  std::vector<kernels::Matrix> vectors;  ///< of BlockLayout::vectors, [1, size] each

  const BlockLayout& parts() const { return layout->blocks[static_cast<std::size_t>(block)]; }
};

/// @throws Failure as WeightSource
BlockWeights load_block_weights(kernels::Backend& backend, const WeightSource& source,
                                const ModelLayout& layout, std::int64_t block);

/// Scratch memory of run_block for up to `tokens` tokens in rows of `row_length`, and the rotary
/// tables. Allocated once, used for every block.
class BlockWorkspace {
 public:
  BlockWorkspace(kernels::Backend& backend, const ModelLayout& layout, std::int64_t tokens,
                 std::int64_t row_length);

  std::int64_t tokens() const { return tokens_; }
  std::int64_t row_length() const { return row_length_; }
  const RopeTable& rope(std::int64_t table) const {
    return ropes_[static_cast<std::size_t>(table)];
  }
  /// [rows, cols] dense, from element `offset` * rows on. @pre it fits
  kernels::MatrixView carve(std::int64_t offset, std::int64_t rows, std::int64_t cols);

 private:
  std::int64_t tokens_;
  std::int64_t row_length_;
  std::vector<RopeTable> ropes_;
  kernels::Matrix memory_;
};

/// Bytes a BlockWorkspace takes. The back end's attention holds scores beside that (CPU: 256 bytes
/// per token of a row and thread).
std::int64_t run_block_workspace_bytes(const ModelLayout& layout, std::int64_t tokens,
                                       std::int64_t row_length);

/// Takes an input of linear layers before they are applied. group: index of their Hessian group in
/// the layout; x: [T, K], valid during the call.
using LinearInputTaker = std::function<void(std::int64_t group, kernels::ConstMatrixView x)>;

/// Forwards whole rows through one block. hidden: the residual stream [T, hidden_size], in place; T
/// a multiple of the workspace's row length, at most its tokens. on_linear_input may be empty.
/// @throws Failure(bad_data) naming the block where the outcome is NaN or infinite
void run_block(kernels::Backend& backend, const BlockWeights& weights,
               const ModelDescription& description, kernels::MatrixView hidden,
               BlockWorkspace& workspace, const LinearInputTaker& on_linear_input = {});

}  // namespace shardquant::model
