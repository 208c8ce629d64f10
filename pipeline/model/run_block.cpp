#include "pipeline/model/run_block.hpp"

#include "pipeline/failure.hpp"

namespace shardquant::model {

namespace {

using kernels::ConstMatrixView;
using kernels::MatrixView;

/// One pass of rows through a block. The workspace holds, per token: the normed stream, which also
/// takes a part's output where no other part needs it; that output where one does; the part's own
/// scratch.
class BlockRun final : private PartRun {
 public:
  BlockRun(kernels::Backend& backend, const BlockWeights& weights, MatrixView hidden,
           BlockWorkspace& workspace, const LinearInputTaker& on_linear_input)
      : backend_(backend),
        weights_(weights),
        hidden_(hidden),
        workspace_(workspace),
        take_(on_linear_input) {}

  void run(const LaidOutBranch& branch, float epsilon) {
    const bool is_shared = branch.parts.size() > 1;
    const MatrixView normed = workspace_.carve(0, hidden_.rows, hidden_.cols);
    const MatrixView out =
        is_shared ? workspace_.carve(hidden_.cols, hidden_.rows, hidden_.cols) : normed;
    first_scratch_ = hidden_.cols * (is_shared ? 2 : 1);
    backend_.rms_norm(hidden_, vector(branch.norm), epsilon, normed);
    for (const auto& part : branch.parts) {
      part->run(*this, normed, out);
      if (branch.norm_behind >= 0) backend_.rms_norm(out, vector(branch.norm_behind), epsilon, out);
      backend_.add(hidden_, out);
    }
  }

 private:
  kernels::Backend& backend() override { return backend_; }
  std::int64_t row_length() const override { return workspace_.row_length(); }
  void linear(std::int64_t layer, ConstMatrixView x, MatrixView out) override {
    const auto place = static_cast<std::size_t>(layer);
    const ModelLayout& layout = *weights_.layout;
    const std::int64_t index = weights_.parts().linear_layers[place];
    const std::int64_t group = layout.linear_layers[static_cast<std::size_t>(index)].group;
    const HessianGroup& shared = layout.groups[static_cast<std::size_t>(group)];
    if (take_ && shared.layers.front() == index) take_(group, x);
    backend_.linear(x, weights_.weights[place], weights_.biases[place], out);
  }
  ConstMatrixView vector(std::int64_t vector) const override {
    return weights_.vectors[static_cast<std::size_t>(vector)];
  }
  ConstMatrixView rope_cosines(std::int64_t table) const override {
    return workspace_.rope(table).cosines;
  }
  ConstMatrixView rope_sines(std::int64_t table) const override {
    return workspace_.rope(table).sines;
  }
  MatrixView scratch(std::int64_t offset, std::int64_t cols) override {
    return workspace_.carve(first_scratch_ + offset, hidden_.rows, cols);
  }

  kernels::Backend& backend_;
  const BlockWeights& weights_;
  MatrixView hidden_;
  BlockWorkspace& workspace_;
  const LinearInputTaker& take_;
  std::int64_t first_scratch_ = 0;  // floats per token before a part's own
};

}  // namespace

BlockWeights load_block_weights(kernels::Backend& backend, const WeightSource& source,
                                const ModelLayout& layout, std::int64_t block) {
  BlockWeights out;
  out.layout = &layout;
  out.block = block;
  for (const std::int64_t index : out.parts().vectors) {
    out.vectors.push_back(
        source.norm(backend, layout.plain_tensors[static_cast<std::size_t>(index)]));
  }
  for (const std::int64_t index : out.parts().linear_layers) {
    out.weights.push_back(source.weight(backend, index));
    out.biases.push_back(source.bias(backend, index));
  }
  return out;
}

BlockWorkspace::BlockWorkspace(kernels::Backend& backend, const ModelLayout& layout,
                               std::int64_t tokens, std::int64_t row_length)
    : tokens_(tokens),
      row_length_(row_length),
      memory_(backend.allocate(layout.scratch_floats(), tokens)) {
  for (const RopeSpec& rope : layout.ropes) {
    ropes_.push_back(make_rope_table(backend, rope.settings, rope.head_dim, row_length));
  }
}

MatrixView BlockWorkspace::carve(std::int64_t offset, std::int64_t rows, std::int64_t cols) {
  return {memory_.view().data + offset * rows, rows, cols, cols};
}

std::int64_t run_block_workspace_bytes(const ModelLayout& layout, std::int64_t tokens,
                                       std::int64_t row_length) {
  std::int64_t floats = layout.scratch_floats() * tokens;
  for (const RopeSpec& rope : layout.ropes) floats += row_length * rope.head_dim;
  return floats * static_cast<std::int64_t>(sizeof(float));
}

void run_block(kernels::Backend& backend, const BlockWeights& weights,
               const ModelDescription& description, MatrixView hidden, BlockWorkspace& workspace,
               const LinearInputTaker& on_linear_input) {
  const BlockLayout& block = weights.parts();
  if (hidden.rows > workspace.tokens() || hidden.rows % workspace.row_length() != 0) {
    fail(ExitCode::internal, "{}: {} tokens do not fit a workspace of {} in rows of {}", block.name,
         hidden.rows, workspace.tokens(), workspace.row_length());
  }
  BlockRun run(backend, weights, hidden, workspace, on_linear_input);
  for (const LaidOutBranch& branch : block.branches) {
    run.run(branch, static_cast<float>(description.rms_norm_eps));
  }
  std::int64_t first = 0;
  const std::int64_t bad = backend.count_nonfinite(hidden, first);
  if (bad > 0) {
    fail(ExitCode::bad_data,
         "{}: {}: {} of {} values of the residual stream are NaN or infinite, the first at token "
         "{}, channel {}; the weights do not make a working model",
         description.config_file, block.name, bad, hidden.size(), first / hidden.cols,
         first % hidden.cols);
  }
}

}  // namespace shardquant::model
