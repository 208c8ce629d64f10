#include "pipeline/formats/weights/gguf/gguf_names.hpp"

#include <algorithm>
#include <array>

namespace shardquant::gguf {

namespace {

struct NamePair {
  std::string_view hugging_face;
  std::string_view gguf;
};

constexpr std::array<GgufArchitecture, 4> kArchitectures = {{{"llama", "llama", true},
                                                             {"mistral", "llama", true},
                                                             {"qwen2", "qwen2", false},
                                                             {"qwen3", "qwen3", false}}};

// Modules of a block, after "model.layers.N." and "blk.N.".
constexpr std::array<NamePair, 11> kBlockModules = {{{"input_layernorm", "attn_norm"},
                                                     {"self_attn.q_proj", "attn_q"},
                                                     {"self_attn.k_proj", "attn_k"},
                                                     {"self_attn.v_proj", "attn_v"},
                                                     {"self_attn.o_proj", "attn_output"},
                                                     {"self_attn.q_norm", "attn_q_norm"},
                                                     {"self_attn.k_norm", "attn_k_norm"},
                                                     {"post_attention_layernorm", "ffn_norm"},
                                                     {"mlp.gate_proj", "ffn_gate"},
                                                     {"mlp.up_proj", "ffn_up"},
                                                     {"mlp.down_proj", "ffn_down"}}};

constexpr std::array<NamePair, 3> kOtherModules = {
    {{"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}}};

constexpr std::string_view kBlockPrefix = "model.layers.";

template <class Table>
std::optional<std::string_view> find_module(const Table& table, std::string_view module) {
  const auto entry = std::find_if(table.begin(), table.end(), [&](const NamePair& pair) {
    return pair.hugging_face == module;
  });
  if (entry == table.end()) return std::nullopt;
  return entry->gguf;
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "blk.3.attn_q" for "model.layers.3.self_attn.q_proj".
std::optional<std::string> module_name(std::string_view module) {
  if (!module.starts_with(kBlockPrefix)) {
    const auto name = find_module(kOtherModules, module);
    return name ? std::optional(std::string(*name)) : std::nullopt;
  }
  module.remove_prefix(kBlockPrefix.size());
  const std::size_t dot = module.find('.');
  const std::string_view block = module.substr(0, dot);
  if (dot == std::string_view::npos || !is_number(block)) return std::nullopt;
  const auto name = find_module(kBlockModules, module.substr(dot + 1));
  if (!name) return std::nullopt;
  return "blk." + std::string(block) + '.' + std::string(*name);
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view model_type) {
  const auto entry =
      std::find_if(kArchitectures.begin(), kArchitectures.end(),
                   [&](const GgufArchitecture& known) { return known.model_type == model_type; });
  return entry == kArchitectures.end() ? nullptr : &*entry;
}

std::optional<std::string> gguf_tensor_name(std::string_view hugging_face_name) {
  const std::size_t dot = hugging_face_name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view kind = hugging_face_name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  auto name = module_name(hugging_face_name.substr(0, dot));
  if (name) *name += kind;
  return name;
}

bool is_permuted_by_heads(std::string_view hugging_face_name) {
  const auto ends = [&](std::string_view ending) { return hugging_face_name.ends_with(ending); };
  return ends(".q_proj.weight") || ends(".q_proj.bias") || ends(".k_proj.weight") ||
         ends(".k_proj.bias");
}

std::vector<std::int32_t> gguf_row_order(std::int64_t heads, std::int64_t head_dim) {
  std::vector<std::int32_t> order;
  order.reserve(heads * head_dim);
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t pair = 0; pair < head_dim / 2; ++pair) {
      for (const std::int64_t half : {0, 1}) {
        order.push_back(static_cast<std::int32_t>(head * head_dim + half * (head_dim / 2) + pair));
      }
    }
  }
  return order;
}

}  // namespace shardquant::gguf
