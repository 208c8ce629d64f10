#include "pipeline/model/run_block.hpp"

#include <algorithm>

#include "pipeline/failure.hpp"

namespace shardquant::model {

namespace {

using kernels::ConstMatrixView;
using kernels::Matrix;
using kernels::MatrixView;

/// Floats per token, one after another in the workspace. The MLP's parts take the place of the
/// attention's.
struct ScratchLayout {
  std::int64_t queries, keys, hidden, intermediate;

  explicit ScratchLayout(const ModelDescription& model)
      : queries(model.heads * model.head_dim),
        keys(model.kv_heads * model.head_dim),
        hidden(model.hidden_size),
        intermediate(model.intermediate_size) {}

  std::int64_t q() const { return hidden; }
  std::int64_t k() const { return q() + queries; }
  std::int64_t v() const { return k() + keys; }
  std::int64_t mixed() const { return v() + keys; }
  std::int64_t gate() const { return hidden; }
  std::int64_t up() const { return gate() + intermediate; }
  std::int64_t total() const { return std::max(mixed() + queries, up() + intermediate); }
};

class BlockRun {
 public:
  BlockRun(kernels::Backend& backend, const BlockWeights& weights,
           const ModelDescription& description, MatrixView hidden, BlockWorkspace& workspace,
           const LinearInputTaker& on_linear_input)
      : backend_(backend),
        weights_(weights),
        model_(description),
        scratch_(description),
        hidden_(hidden),
        workspace_(workspace),
        take_(on_linear_input),
        epsilon_(static_cast<float>(description.rms_norm_eps)),
        normed_(part(0, scratch_.hidden)) {}

  void attention() {
    backend_.rms_norm(hidden_, weights_.attention_norm, epsilon_, normed_);
    give(0, normed_);
    const MatrixView q = part(scratch_.q(), scratch_.queries);
    const MatrixView k = part(scratch_.k(), scratch_.keys);
    const MatrixView v = part(scratch_.v(), scratch_.keys);
    apply(Role::q, normed_, q);
    apply(Role::k, normed_, k);
    apply(Role::v, normed_, v);
    norm_heads(q, weights_.q_norm);
    norm_heads(k, weights_.k_norm);
    const RopeTable& rope = workspace_.rope();
    backend_.rotate(q, model_.heads, rope.cosines, rope.sines);
    backend_.rotate(k, model_.kv_heads, rope.cosines, rope.sines);
    const MatrixView mixed = part(scratch_.mixed(), scratch_.queries);
    const std::int64_t window = model_.windows[static_cast<std::size_t>(weights_.block)];
    backend_.causal_attention(
        q, k, v, {workspace_.row_length(), model_.heads, model_.kv_heads, model_.head_dim, window},
        mixed);
    give(1, mixed);
    apply(Role::o, mixed, normed_);
    backend_.add(hidden_, normed_);
  }

  void mlp() {
    backend_.rms_norm(hidden_, weights_.mlp_norm, epsilon_, normed_);
    give(2, normed_);
    const MatrixView gate = part(scratch_.gate(), scratch_.intermediate);
    const MatrixView up = part(scratch_.up(), scratch_.intermediate);
    apply(Role::gate, normed_, gate);
    apply(Role::up, normed_, up);
    backend_.silu_product(gate, up);
    give(3, gate);
    apply(Role::down, gate, normed_);
    backend_.add(hidden_, normed_);
  }

 private:
  MatrixView part(std::int64_t offset, std::int64_t cols) {
    return workspace_.carve(offset, hidden_.rows, cols);
  }
  void give(std::int64_t group, ConstMatrixView x) const {
    if (take_) take_(group, x);
  }
  void apply(Role role, ConstMatrixView x, MatrixView out) {
    const auto index = static_cast<std::size_t>(role);
    backend_.linear(x, weights_.weights[index], weights_.biases[index], out);
  }
  /// RMS norm of every head by itself (Qwen3).
  void norm_heads(MatrixView x, const Matrix& weight) {
    if (weight.empty()) return;
    const std::int64_t heads = x.cols / model_.head_dim;
    const MatrixView folded{x.data, x.rows * heads, model_.head_dim, model_.head_dim};
    backend_.rms_norm(folded, weight, epsilon_, folded);
  }

  kernels::Backend& backend_;
  const BlockWeights& weights_;
  const ModelDescription& model_;
  const ScratchLayout scratch_;
  MatrixView hidden_;
  BlockWorkspace& workspace_;
  const LinearInputTaker& take_;
  const float epsilon_;
  MatrixView normed_;  // also takes the outputs of o and down, when its inputs are no longer needed
};

}  // namespace

BlockWeights load_block_weights(kernels::Backend& backend, const WeightSource& source,
                                const ModelDescription& description, std::int64_t block) {
  BlockWeights out;
  out.block = block;
  out.name = "model.layers." + std::to_string(block);
  out.attention_norm = source.norm(backend, out.name + ".input_layernorm.weight");
  out.mlp_norm = source.norm(backend, out.name + ".post_attention_layernorm.weight");
  if (description.qk_norm) {
    out.q_norm = source.norm(backend, out.name + ".self_attn.q_norm.weight");
    out.k_norm = source.norm(backend, out.name + ".self_attn.k_norm.weight");
  }
  for (std::int64_t role = 0; role < kLinearLayersPerBlock; ++role) {
    const std::int64_t layer = block * kLinearLayersPerBlock + role;
    out.weights[static_cast<std::size_t>(role)] = source.weight(backend, layer);
    out.biases[static_cast<std::size_t>(role)] = source.bias(backend, layer);
  }
  return out;
}

std::int64_t block_weight_bytes(const ModelDescription& description) {
  const ScratchLayout sizes(description);
  const std::int64_t attention = 2 * sizes.hidden * (sizes.queries + sizes.keys);
  const std::int64_t mlp = 3 * sizes.hidden * sizes.intermediate;
  const std::int64_t vectors = 4 * sizes.hidden + sizes.queries + 2 * sizes.keys +
                               2 * sizes.intermediate + 2 * description.head_dim;
  return (attention + mlp + vectors) * static_cast<std::int64_t>(sizeof(float));
}

BlockWorkspace::BlockWorkspace(kernels::Backend& backend, const ModelDescription& description,
                               std::int64_t tokens, std::int64_t row_length)
    : tokens_(tokens),
      row_length_(row_length),
      rope_(make_rope_table(backend, description.rope, description.head_dim, row_length)),
      memory_(backend.allocate(ScratchLayout(description).total(), tokens)) {}

MatrixView BlockWorkspace::carve(std::int64_t offset, std::int64_t rows, std::int64_t cols) {
  return {memory_.view().data + offset * rows, rows, cols, cols};
}

std::int64_t run_block_workspace_bytes(const ModelDescription& description, std::int64_t tokens,
                                       std::int64_t row_length) {
  const std::int64_t table = row_length * description.head_dim;
  return (ScratchLayout(description).total() * tokens + table) *
         static_cast<std::int64_t>(sizeof(float));
}

void run_block(kernels::Backend& backend, const BlockWeights& weights,
               const ModelDescription& description, MatrixView hidden, BlockWorkspace& workspace,
               const LinearInputTaker& on_linear_input) {
  if (hidden.rows > workspace.tokens() || hidden.rows % workspace.row_length() != 0) {
    fail(ExitCode::internal, "{}: {} tokens do not fit a workspace of {} in rows of {}",
         weights.name, hidden.rows, workspace.tokens(), workspace.row_length());
  }
  BlockRun run(backend, weights, description, hidden, workspace, on_linear_input);
  run.attention();
  run.mlp();
  std::int64_t first = 0;
  const std::int64_t bad = backend.count_nonfinite(hidden, first);
  if (bad > 0) {
    fail(ExitCode::bad_data,
         "{}: {}: {} of {} values of the residual stream are NaN or infinite, the first at token "
         "{}, channel {}; the weights do not make a working model",
         description.config_file, weights.name, bad, hidden.size(), first / hidden.cols,
         first % hidden.cols);
  }
}

}  // namespace shardquant::model
