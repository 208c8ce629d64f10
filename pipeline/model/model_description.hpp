#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/model_directory.hpp"
#include "pipeline/formats/weights/weight_format.hpp"
#include "pipeline/model/families/family.hpp"
#include "pipeline/model/rope_settings.hpp"

namespace shardquant::model {

// Bounds of what config.json may say: the largest product, hidden by vocabulary, stays below 2^45.
inline constexpr std::int64_t kMaxLayers = 10'000;
inline constexpr std::int64_t kMaxPositions = std::int64_t{1} << 30;

/// What config.json says, checked and bounded.
struct ModelDescription {
  const Family* family = nullptr;  ///< a row of the table of families
  std::string quantization;  ///< quant_method of quantization_config; empty where there is none
  /// The format of that name, if it is known. Of an opened folder: what its weights are quantized
  /// in, as its tensors tell; null: they are not.
  const weights::WeightFormat* stored_format = nullptr;

  std::int64_t layers = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  ///< divides heads
  std::int64_t head_dim = 0;  ///< even
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 0.0;
  RopeSettings rope;
  RopeSettings window_rope;  ///< of blocks with a window, where the family has two kinds
  float norm_shift =
      0.0f;  ///< added to the weights of norms: 1 where the family multiplies by 1 + w
  float embedding_scale = 1.0f;  ///< of the hidden states that go into the first block
  float query_scale = 0.0f;      ///< of the scores; 0: 1 / sqrt(head_dim)
  float logit_cap = 0.0f;        ///< logits become cap tanh(logits / cap); 0: as they are

  bool qkv_bias = false;  ///< q_proj, k_proj, v_proj have a bias
  bool o_bias = false;
  bool mlp_bias = false;  ///< gate_proj, up_proj, down_proj have a bias
  bool qk_norm = false;   ///< q_norm and k_norm [head_dim] before the rotation
  bool tie_word_embeddings = false;
  std::vector<std::int64_t> windows;  ///< per block: tokens a query sees, itself included; 0: all

  std::string torch_dtype;  ///< as given; empty where absent
  std::string config_file;  ///< for messages
  std::string config_text;  ///< config.json as it was read

  /// What the model is kept in by torch_dtype: f16, bf16 or f32; f16 where it does not say.
  formats::Dtype dtype() const;
};

/// Reads and checks config.json. @throws Failure: no_input when it is missing; bad_data naming the
/// field, or the architecture or RoPE scaling that is not supported
ModelDescription read_model_description(const formats::ModelDirectory& folder);

/// The same from text; `file` names it in messages.
ModelDescription parse_model_description(std::string_view config_text, const std::string& file);

}  // namespace shardquant::model
