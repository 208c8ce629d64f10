#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "kernels/api/backend.hpp"
#include "pipeline/model/model_description.hpp"
#include "pipeline/model/rope_table.hpp"
#include "pipeline/model/weight_source.hpp"

namespace shardquant::model {

/// One transformer block in the back end's memory.
struct BlockWeights {
  std::int64_t block = 0;
  std::string name;                ///< "model.layers.3", for messages
  kernels::Matrix attention_norm;  ///< [1, hidden_size]
  kernels::Matrix mlp_norm;        ///< [1, hidden_size]
  kernels::Matrix q_norm;          ///< [1, head_dim]; empty without qk_norm
  kernels::Matrix k_norm;
  std::array<kernels::Matrix, kLinearLayersPerBlock> weights;  ///< by Role, q .. down
  std::array<kernels::Matrix, kLinearLayersPerBlock> biases;   ///< empty where there is none
};

/// @throws Failure as WeightSource
BlockWeights load_block_weights(kernels::Backend& backend, const WeightSource& source,
                                const ModelDescription& description, std::int64_t block);

/// Bytes of the weights of one block in fp32.
std::int64_t block_weight_bytes(const ModelDescription& description);

/// Scratch memory of run_block for up to `tokens` tokens in rows of `row_length`, and the rotary
/// table. Allocated once, used for every block.
class BlockWorkspace {
 public:
  BlockWorkspace(kernels::Backend& backend, const ModelDescription& description,
                 std::int64_t tokens, std::int64_t row_length);

  std::int64_t tokens() const { return tokens_; }
  std::int64_t row_length() const { return row_length_; }
  const RopeTable& rope() const { return rope_; }
  /// [rows, cols] dense, from element `offset` * rows on. @pre it fits
  kernels::MatrixView carve(std::int64_t offset, std::int64_t rows, std::int64_t cols);

 private:
  std::int64_t tokens_;
  std::int64_t row_length_;
  RopeTable rope_;
  kernels::Matrix memory_;
};

/// Bytes a BlockWorkspace takes. The back end's attention holds scores beside that (CPU: 256 bytes
/// per token of a row and thread).
std::int64_t run_block_workspace_bytes(const ModelDescription& description, std::int64_t tokens,
                                       std::int64_t row_length);

/// Takes an input of linear layers before they are applied. group: place in the block, 0 .. 3 as in
/// ModelLayout (attn_in, o_in, mlp_in, down_in); x: [T, K], valid during the call.
using LinearInputTaker = std::function<void(std::int64_t group, kernels::ConstMatrixView x)>;

/// Forwards whole rows through one block. hidden: the residual stream [T, hidden_size], in place; T
/// a multiple of the workspace's row length, at most its tokens. on_linear_input may be empty.
/// @throws Failure(bad_data) naming the block where the outcome is NaN or infinite
void run_block(kernels::Backend& backend, const BlockWeights& weights,
               const ModelDescription& description, kernels::MatrixView hidden,
               BlockWorkspace& workspace, const LinearInputTaker& on_linear_input = {});

}  // namespace shardquant::model
