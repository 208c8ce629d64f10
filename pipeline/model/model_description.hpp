#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/formats/model_directory.hpp"

namespace shardquant::model {

/// Architectures the forward pass knows.
enum class Family { llama, mistral, qwen2, qwen3 };

/// How positions are stretched; `none` is plain RoPE.
enum class RopeScalingKind { none, linear, llama3 };

/// Rotary embedding of config.json (rope_theta and rope_scaling, or rope_parameters).
struct RopeSettings {
  double theta = 10000.0;
  RopeScalingKind scaling = RopeScalingKind::none;
  double factor = 1.0;                                ///< linear, llama3
  double low_freq_factor = 1.0;                       ///< llama3
  double high_freq_factor = 4.0;                      ///< llama3
  std::int64_t original_max_position_embeddings = 0;  ///< llama3
};

/// Which weights a folder holds.
enum class Storage { plain, exl2 };

/// What config.json says, checked and bounded.
struct ModelDescription {
  Family family = Family::llama;
  std::string architecture;  ///< "LlamaForCausalLM"
  Storage storage = Storage::plain;

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

  bool qkv_bias = false;  ///< q_proj, k_proj, v_proj have a bias
  bool o_bias = false;
  bool mlp_bias = false;  ///< gate_proj, up_proj, down_proj have a bias
  bool qk_norm = false;   ///< q_norm and k_norm [head_dim] before the rotation
  bool tie_word_embeddings = false;
  std::vector<std::int64_t> windows;  ///< per block: tokens a query sees, itself included; 0: all

  std::string torch_dtype;  ///< as given; empty where absent
  std::string config_file;  ///< for messages
  std::string config_text;  ///< config.json as it was read

  /// Parameters of the linear layers of all blocks: numel of the bit budget.
  std::int64_t block_parameters() const;
};

/// Reads and checks config.json. @throws Failure: no_input when it is missing; bad_data naming the
/// field, or the architecture, RoPE scaling or quantization method that is not supported
ModelDescription read_model_description(const formats::ModelDirectory& folder);

/// The same from text; `file` names it in messages.
ModelDescription parse_model_description(std::string_view config_text, const std::string& file);

/// What a linear layer does in its block.
enum class Role { q, k, v, o, gate, up, down, head };

/// One weight matrix that is quantized.
struct LinearLayer {
  std::string key;           ///< "model.layers.3.self_attn.q_proj", "lm_head"
  std::int64_t inputs = 0;   ///< K
  std::int64_t outputs = 0;  ///< N
  bool has_bias = false;
  std::int64_t block = 0;  ///< 0 .. layers - 1; `layers` for the head
  Role role = Role::q;
  std::int64_t group = 0;  ///< index of its Hessian group

  std::int64_t parameters() const { return inputs * outputs; }
};

/// Linear layers that see the same input, hence share Hessian, permutation and factor.
struct HessianGroup {
  std::int64_t index = 0;
  std::string name;                  ///< "model.layers.3.attn_in", o_in, mlp_in, down_in; "head_in"
  std::int64_t block = 0;            ///< 0 .. layers - 1; `layers` for the head
  std::int64_t inputs = 0;           ///< K
  std::vector<std::int64_t> layers;  ///< indices into ModelLayout::linear_layers
};

/// A tensor that is not quantized: embedding, norm.
struct PlainTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t block = 0;  ///< -1 for the embedding, `layers` for what follows the last block
};

/// A member of the module order: an index into linear_layers or plain_tensors.
struct ModuleRef {
  enum class Kind { linear, plain } kind = Kind::plain;
  std::int64_t index = 0;
};

/// A model as data, in module order. The linear layers of block b are linear_layers[7 b, 7 b + 7)
/// as q k v o gate up down, the head is the last one; the groups of block b are groups[4 b, 4 b +
/// 4), the head's is the last one.
struct ModelLayout {
  std::vector<LinearLayer> linear_layers;
  std::vector<HessianGroup> groups;
  std::vector<PlainTensor> plain_tensors;
  std::vector<ModuleRef> modules;

  const LinearLayer& head() const { return linear_layers.back(); }
};

inline constexpr std::int64_t kLinearLayersPerBlock = 7;
inline constexpr std::int64_t kGroupsPerBlock = 4;

/// Names and shapes of all parts. Pure.
ModelLayout lay_out_model(const ModelDescription& description);

/// Refuses, by name of layer, what EXL2 cannot store: inputs no multiple of 32 or beyond 65536; and
/// a folder that is quantized already. @throws Failure(bad_data)
void require_quantizable(const ModelDescription& description, const ModelLayout& layout);

/// "Llama", "Mistral", "Qwen2", "Qwen3".
std::string_view family_name(Family family);

}  // namespace shardquant::model
