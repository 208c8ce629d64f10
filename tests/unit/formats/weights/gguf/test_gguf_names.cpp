#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pipeline/formats/weights/gguf/gguf_names.hpp"

namespace shardquant::gguf {
namespace {

TEST(GgufNames, TensorsOfADenseModel) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
      {"model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"},
      {"model.layers.12.self_attn.q_proj.weight", "blk.12.attn_q.weight"},
      {"model.layers.12.self_attn.q_proj.bias", "blk.12.attn_q.bias"},
      {"model.layers.12.self_attn.k_proj.weight", "blk.12.attn_k.weight"},
      {"model.layers.12.self_attn.v_proj.weight", "blk.12.attn_v.weight"},
      {"model.layers.12.self_attn.o_proj.weight", "blk.12.attn_output.weight"},
      {"model.layers.12.self_attn.q_norm.weight", "blk.12.attn_q_norm.weight"},
      {"model.layers.12.self_attn.k_norm.weight", "blk.12.attn_k_norm.weight"},
      {"model.layers.31.mlp.gate_proj.weight", "blk.31.ffn_gate.weight"},
      {"model.layers.31.mlp.up_proj.weight", "blk.31.ffn_up.weight"},
      {"model.layers.31.mlp.down_proj.weight", "blk.31.ffn_down.weight"}};
  for (const auto& [hugging_face, gguf] : names) {
    EXPECT_EQ(gguf_tensor_name(hugging_face), gguf) << hugging_face;
  }
  for (const char* other :
       {"", "weight", "model.layers.0.mlp.weight", "model.layers.x.mlp.up_proj.weight",
        "model.layers..mlp.up_proj.weight", "model.layers.0", "model.layers.0.mlp.up_proj",
        "model.layers.0.mlp.up_proj.weight_packed", "mtp.layers.0.mlp.up_proj.weight"}) {
    EXPECT_EQ(gguf_tensor_name(other), std::nullopt) << other;
  }
}

TEST(GgufNames, Architectures) {
  EXPECT_EQ(find_gguf_architecture("mistral")->name, "llama");
  EXPECT_TRUE(find_gguf_architecture("llama")->permutes_heads);
  EXPECT_FALSE(find_gguf_architecture("qwen2")->permutes_heads);
  EXPECT_EQ(find_gguf_architecture("qwen3")->name, "qwen3");
  EXPECT_EQ(find_gguf_architecture("gemma3"), nullptr);
}

TEST(GgufNames, OnlyQueriesAndKeysArePermuted) {
  EXPECT_TRUE(is_permuted_by_heads("model.layers.0.self_attn.q_proj.weight"));
  EXPECT_TRUE(is_permuted_by_heads("model.layers.0.self_attn.k_proj.bias"));
  EXPECT_FALSE(is_permuted_by_heads("model.layers.0.self_attn.v_proj.weight"));
  EXPECT_FALSE(is_permuted_by_heads("model.layers.0.self_attn.q_norm.weight"));
  EXPECT_FALSE(is_permuted_by_heads("model.layers.0.self_attn.o_proj.weight"));
}

// reshape(heads, 2, half, ...), swap the middle axes, reshape back.
TEST(GgufNames, RowsOfHalvesAreInterleaved) {
  EXPECT_EQ(gguf_row_order(2, 6),
            (std::vector<std::int32_t>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}));
  const std::vector<std::int32_t> order = gguf_row_order(3, 64);
  for (std::int64_t head = 0; head < 3; ++head) {
    for (std::int64_t half = 0; half < 2; ++half) {
      for (std::int64_t pair = 0; pair < 32; ++pair) {
        EXPECT_EQ(order[head * 64 + pair * 2 + half], head * 64 + half * 32 + pair);
      }
    }
  }
}

}  // namespace
}  // namespace shardquant::gguf
