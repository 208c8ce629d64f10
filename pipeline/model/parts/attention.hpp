#pragma once

#include "pipeline/model/parts/part.hpp"

namespace shardquant::model {

/// What a family says of its attention.
struct AttentionSettings {
  std::int64_t hidden_size = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  ///< divides heads
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  ///< tokens a query sees, itself included; 0: all before it
  bool qkv_bias = false;
  bool o_bias = false;
  bool qk_norm = false;      ///< q_norm and k_norm [head_dim], of every head before the rotation
  float epsilon = 0.0f;      ///< of these norms
  float norm_shift = 0.0f;   ///< added to their weights
  float score_scale = 0.0f;  ///< 0: 1 / sqrt(head_dim)
  RopeSettings rope;
};

/// Grouped-query attention with rotary positions: q_proj, k_proj, v_proj ("attn_in"), o_proj
/// ("o_in") below "self_attn.".
class Attention final : public Part {
 public:
  explicit Attention(const AttentionSettings& settings) : settings_(settings) {}

  void declare(PartTensors& tensors) override;
  std::int64_t scratch_floats() const override;
  double operations(std::int64_t length) const override;
  void run(PartRun& run, kernels::ConstMatrixView x, kernels::MatrixView out) const override;

 private:
  std::int64_t queries() const { return settings_.heads * settings_.head_dim; }
  std::int64_t keys() const { return settings_.kv_heads * settings_.head_dim; }
  void norm_heads(PartRun& run, kernels::MatrixView x, std::int64_t norm) const;

  AttentionSettings settings_;
  std::int64_t q_ = 0, k_ = 0, v_ = 0, o_ = 0;
  std::int64_t q_norm_ = 0, k_norm_ = 0;
  std::int64_t rope_ = 0;
};

}  // namespace shardquant::model
