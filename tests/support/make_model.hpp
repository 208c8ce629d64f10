#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace shardquant::tests {

/// Which of the two vocabulary matrices a generated folder stores.
enum class HeadStorage {
  separate,   ///< both
  tied,       ///< model.embed_tokens.weight, tie_word_embeddings true
  head_only,  ///< lm_head.weight, tie_word_embeddings true
};

/// Shape and form of a generated Hugging Face folder.
struct MakeModelOptions {
  std::string family = "llama";  ///< llama, mistral, qwen2, qwen3, or an architecture
  std::int64_t layers = 2;
  std::int64_t hidden = 128;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 0;  ///< 0: hidden / heads
  std::int64_t ffn = 256;
  std::int64_t vocab = 512;
  std::int64_t sliding_window = 0;    ///< mistral, qwen2, qwen3; 0: none
  std::string rope_scaling = "none";  ///< none, linear, llama3
  std::string dtype = "F16";          ///< F32, F16, BF16
  std::int64_t shards = 1;            ///< with an index from 2 on
  HeadStorage head = HeadStorage::separate;
  bool biases = false;  ///< llama: attention_bias and mlp_bias; qwen3: attention_bias
  std::uint64_t seed = 1;
};

/// Writes config.json, weights and a few companion files into `folder`, which is created. Weights
/// are random with the spread of a trained model's, outlier inputs included, so that the forward
/// pass stays finite at any depth. The bytes depend on the options alone. Tensors are streamed:
/// memory does not grow with the model. @throws std::invalid_argument for options that fit no model
void make_model(const std::filesystem::path& folder, const MakeModelOptions& options);

/// Writes `count` random token ids in [0, vocab), small ones more often, as int32 little endian.
void make_tokens(const std::filesystem::path& file, std::int64_t count, std::int64_t vocab,
                 std::uint64_t seed);

}  // namespace shardquant::tests
