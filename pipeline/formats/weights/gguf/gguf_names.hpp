#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shardquant::gguf {

/// What llama.cpp's converter makes of a Hugging Face model of one type.
struct GgufArchitecture {
  std::string_view model_type;  ///< of config.json
  std::string_view name;        ///< general.architecture
  bool permutes_heads = false;  ///< rows of q_proj and k_proj are put in another order
};

/// The architecture of a model_type: llama, mistral, qwen2, qwen3; null for others.
const GgufArchitecture* find_gguf_architecture(std::string_view model_type);

/// The name in a GGUF file of a dense model's tensor: "model.layers.3.self_attn.q_proj.weight" is
/// "blk.3.attn_q.weight"; nothing where there is none.
std::optional<std::string> gguf_tensor_name(std::string_view hugging_face_name);

/// True for the tensors whose rows an architecture with permutes_heads stores in gguf_row_order:
/// weights and biases of q_proj and k_proj.
bool is_permuted_by_heads(std::string_view hugging_face_name);

/// Row of the Hugging Face tensor in each row of the GGUF tensor. Rotary positions turn elements
/// i and i + head_dim / 2 of a head together in the one, elements 2 i and 2 i + 1 in the other.
/// `heads` is that of the queries for q_proj, of keys and values for k_proj. @pre head_dim is even
std::vector<std::int32_t> gguf_row_order(std::int64_t heads, std::int64_t head_dim);

}  // namespace shardquant::gguf
