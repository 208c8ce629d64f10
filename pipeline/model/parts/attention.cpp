#include "pipeline/model/parts/attention.hpp"

namespace shardquant::model {

using kernels::ConstMatrixView;
using kernels::MatrixView;

void Attention::declare(PartTensors& tensors) {
  const AttentionSettings& s = settings_;
  const auto projection = [&](const char* name, std::int64_t outputs) {
    return tensors.linear({name, s.hidden_size, outputs, s.qkv_bias, "attn_in"});
  };
  q_ = projection("self_attn.q_proj", queries());
  k_ = projection("self_attn.k_proj", keys());
  v_ = projection("self_attn.v_proj", keys());
  if (s.qk_norm) {
    q_norm_ = tensors.vector("self_attn.q_norm.weight", s.head_dim, s.norm_shift);
    k_norm_ = tensors.vector("self_attn.k_norm.weight", s.head_dim, s.norm_shift);
  }
  o_ = tensors.linear({"self_attn.o_proj", queries(), s.hidden_size, s.o_bias, "o_in"});
  rope_ = tensors.rope(s.rope, s.head_dim);
}

std::int64_t Attention::scratch_floats() const {
  return 2 * queries() + 2 * keys();
}

// Scores and values, of the tokens before each alone: half of 4 L heads head_dim.
double Attention::operations(std::int64_t length) const {
  return 2.0 * static_cast<double>(length) * static_cast<double>(queries());
}

void Attention::run(PartRun& run, ConstMatrixView x, MatrixView out) const {
  const AttentionSettings& s = settings_;
  const MatrixView q = run.scratch(0, queries());
  const MatrixView k = run.scratch(queries(), keys());
  const MatrixView v = run.scratch(queries() + keys(), keys());
  const MatrixView mixed = run.scratch(queries() + 2 * keys(), queries());
  run.linear(q_, x, q);
  run.linear(k_, x, k);
  run.linear(v_, x, v);
  if (s.qk_norm) {
    norm_heads(run, q, q_norm_);
    norm_heads(run, k, k_norm_);
  }
  kernels::Backend& backend = run.backend();
  backend.rotate(q, s.heads, run.rope_cosines(rope_), run.rope_sines(rope_));
  backend.rotate(k, s.kv_heads, run.rope_cosines(rope_), run.rope_sines(rope_));
  backend.causal_attention(
      q, k, v, {run.row_length(), s.heads, s.kv_heads, s.head_dim, s.window, s.score_scale}, mixed);
  run.linear(o_, mixed, out);
}

// RMS norm of every head by itself.
void Attention::norm_heads(PartRun& run, MatrixView x, std::int64_t norm) const {
  const std::int64_t heads = x.cols / settings_.head_dim;
  const MatrixView folded{x.data, x.rows * heads, settings_.head_dim, settings_.head_dim};
  run.backend().rms_norm(folded, run.vector(norm), settings_.epsilon, folded);
}

}  // namespace shardquant::model
