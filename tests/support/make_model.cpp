#include "tests/support/make_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <span>
#include <stdexcept>
#include <vector>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/safetensors_folder.hpp"
#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/shard_file.hpp"
#include "pipeline/model/model_layout.hpp"
#include "tests/support/seeded_stream.hpp"

namespace shardquant::tests {

namespace {

using formats::Dtype;
using formats::TensorSpec;

constexpr std::int64_t kBlock = 1 << 18;  // elements in memory

// Nearly normal, mean 0, variance 1: the sum of four uniform numbers. No library function is
// involved, so that the bytes do not depend on the machine.
float draw_normal(SeededStream& random) {
  const std::uint64_t bits = random.next();
  std::int64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<std::int64_t>(bits >> (16 * i) & 0xffffu);
  constexpr float kDeviation = 37837.2f;  // 65536 sqrt(4 / 12)
  return static_cast<float>(sum - 131070) / kDeviation;
}

struct Recipe {
  float mean = 0.0f;
  float deviation = 1.0f;
  bool outliers = false;  // every 61st element four times as large
};

// Spread of a trained model's tensors, small enough for fp16 activations at any depth.
Recipe recipe_for(const TensorSpec& tensor, std::int64_t layers) {
  const std::string& name = tensor.name;
  if (name.find("norm") != std::string::npos) return {1.0f, 0.1f, true};
  if (name.ends_with(".bias")) return {0.0f, 0.05f, false};
  if (name.find("embed_tokens") != std::string::npos) return {0.0f, 0.5f, false};
  const auto inputs = static_cast<float>(tensor.shape[1]);
  float deviation = 1.0f / std::sqrt(inputs);
  const bool adds_to_stream =
      name.find("o_proj") != std::string::npos || name.find("down_proj") != std::string::npos;
  if (adds_to_stream) deviation /= std::sqrt(2.0f * static_cast<float>(layers));
  return {0.0f, deviation, false};
}

void store(float value, Dtype dtype, std::byte* place) {
  if (dtype == Dtype::f32) {
    std::memcpy(place, &value, sizeof value);
    return;
  }
  std::uint16_t bits = kernels::to_half(value).bits;
  if (dtype == Dtype::bf16) {
    bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
  }
  std::memcpy(place, &bits, sizeof bits);
}

void write_tensor(const formats::FileHandle& file, std::int64_t offset, const TensorSpec& tensor,
                  const Recipe& recipe, std::uint64_t seed) {
  SeededStream random(seed, tensor.name);
  const std::int64_t width = formats::dtype_bytes(tensor.dtype);
  const std::int64_t count = tensor.bytes() / width;
  std::vector<std::byte> block(std::min(kBlock, count) * width);
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t size = std::min(kBlock, count - begin);
    for (std::int64_t i = 0; i < size; ++i) {
      float value = recipe.mean + recipe.deviation * draw_normal(random);
      if (recipe.outliers && (begin + i) % 61 == 7) value *= 4.0f;
      store(value, tensor.dtype, block.data() + i * width);
    }
    file.write_exact(offset + begin * width, std::span(block).first(size * width));
  }
}

void put_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), std::ssize(text));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string architecture_of(const std::string& family) {
  static const std::map<std::string, std::string> kArchitectures = {
      {"llama", "LlamaForCausalLM"},
      {"mistral", "MistralForCausalLM"},
      {"qwen2", "Qwen2ForCausalLM"},
      {"qwen3", "Qwen3ForCausalLM"}};
  const auto entry = kArchitectures.find(family);
  if (entry != kArchitectures.end()) return entry->second;
  if (family.ends_with("ForCausalLM")) return family;
  throw std::invalid_argument("unknown family " + family);
}

std::string rope_text(const MakeModelOptions& options) {
  if (options.rope_scaling == "none") return "null";
  if (options.rope_scaling == "linear") return R"({"rope_type": "linear", "factor": 2.0})";
  if (options.rope_scaling == "llama3") {
    return R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, )"
           R"("high_freq_factor": 4.0, "original_max_position_embeddings": 8192})";
  }
  throw std::invalid_argument("unknown RoPE scaling " + options.rope_scaling);
}

std::string torch_dtype_of(const std::string& dtype) {
  if (dtype == "F32") return "float32";
  if (dtype == "F16") return "float16";
  if (dtype == "BF16") return "bfloat16";
  throw std::invalid_argument("unknown dtype " + dtype);
}

std::string config_text(const MakeModelOptions& options) {
  if (options.heads < 1) throw std::invalid_argument("no heads");
  const std::int64_t head_dim =
      options.head_dim > 0 ? options.head_dim : options.hidden / options.heads;
  const bool windowed = options.sliding_window > 0;
  std::vector<std::string> lines = {
      fmt::format(R"("architectures": ["{}"])", architecture_of(options.family)),
      fmt::format(R"("model_type": "{}")", options.family),
      R"("hidden_act": "silu")",
      fmt::format(R"("hidden_size": {})", options.hidden),
      fmt::format(R"("intermediate_size": {})", options.ffn),
      fmt::format(R"("num_hidden_layers": {})", options.layers),
      fmt::format(R"("num_attention_heads": {})", options.heads),
      fmt::format(R"("num_key_value_heads": {})", options.kv_heads),
      fmt::format(R"("head_dim": {})", head_dim),
      fmt::format(R"("vocab_size": {})", options.vocab),
      R"("max_position_embeddings": 8192)",
      R"("rms_norm_eps": 1e-05)",
      R"("rope_theta": 10000.0)",
      fmt::format(R"("rope_scaling": {})", rope_text(options)),
      fmt::format(R"("sliding_window": {})",
                  windowed ? std::to_string(options.sliding_window) : "null"),
      fmt::format(R"("attention_bias": {})", options.biases),
      fmt::format(R"("tie_word_embeddings": {})", options.head != HeadStorage::separate),
      fmt::format(R"("torch_dtype": "{}")", torch_dtype_of(options.dtype)),
      R"("bos_token_id": 1)",
      R"("eos_token_id": 2)"};
  if (options.family == "llama") lines.push_back(fmt::format(R"("mlp_bias": {})", options.biases));
  if (options.family.starts_with("qwen")) {
    lines.push_back(fmt::format(R"("use_sliding_window": {})", windowed));
    lines.push_back(fmt::format(R"("max_window_layers": {})", options.layers / 2));
  }
  return fmt::format("{{\n  {}\n}}\n", fmt::join(lines, ",\n  "));
}

std::vector<TensorSpec> stored_tensors(const model::ModelLayout& layout,
                                       const MakeModelOptions& options) {
  const Dtype dtype = formats::dtype_from_name(options.dtype).value();
  std::vector<TensorSpec> tensors;
  for (const model::ModuleRef& module : layout.modules) {
    if (module.kind == model::ModuleRef::Kind::plain) {
      const model::PlainTensor& plain = layout.plain_tensors[module.index];
      if (plain.name == "model.embed_tokens.weight" && options.head == HeadStorage::head_only) {
        continue;
      }
      tensors.push_back({plain.name, dtype, plain.shape});
      continue;
    }
    const model::LinearLayer& layer = layout.linear_layers[module.index];
    if (layer.is_head && options.head == HeadStorage::tied) continue;
    tensors.push_back({layer.key + ".weight", dtype, {layer.outputs, layer.inputs}});
    if (layer.has_bias) tensors.push_back({layer.key + ".bias", dtype, {layer.outputs}});
  }
  return tensors;
}

// First tensor of each shard, shards of about equal size.
std::vector<std::int64_t> cut_evenly(std::span<const TensorSpec> tensors, std::int64_t shards) {
  if (shards < 1 || shards > std::ssize(tensors)) {
    throw std::invalid_argument("the number of shards fits no model of so few tensors");
  }
  std::int64_t total = 0;
  for (const TensorSpec& tensor : tensors) total += tensor.bytes();
  std::vector<std::int64_t> starts = {0};
  std::int64_t bytes = 0;
  for (std::int64_t i = 0; i < std::ssize(tensors); ++i) {
    const std::int64_t shards_left = shards - std::ssize(starts);
    const bool full = bytes * shards >= total * std::ssize(starts);
    const bool last_chance = std::ssize(tensors) - i == shards_left;
    if (shards_left > 0 && i > starts.back() && (full || last_chance)) starts.push_back(i);
    bytes += tensors[i].bytes();
  }
  return starts;
}

void write_shard(const std::filesystem::path& folder, const std::string& name,
                 std::span<const TensorSpec> tensors, const MakeModelOptions& options) {
  const formats::SafetensorsLayout layout = formats::lay_out_safetensors(tensors);
  const formats::FileHandle file =
      formats::create_partial(folder, name, layout.file_bytes, formats::Overwrite::no);
  file.write_exact(0, std::as_bytes(std::span(layout.header)));
  for (std::int64_t i = 0; i < std::ssize(tensors); ++i) {
    write_tensor(file, layout.offsets[i], tensors[i], recipe_for(tensors[i], options.layers),
                 options.seed);
  }
  // Unlike publish_partial this waits for no disk: a test makes many folders.
  std::filesystem::rename(folder / formats::partial_name(name), folder / name);
}

}  // namespace

void make_model(const std::filesystem::path& folder, const MakeModelOptions& options) {
  const std::string config = config_text(options);
  const model::ModelLayout layout =
      model::lay_out_model(model::parse_model_description(config, "config.json"));
  const std::vector<TensorSpec> tensors = stored_tensors(layout, options);
  const std::vector<std::int64_t> starts = cut_evenly(tensors, options.shards);

  std::filesystem::create_directories(folder);
  std::map<std::string, std::string> shard_of;
  std::int64_t tensor_bytes = 0;
  for (std::int64_t shard = 0; shard < options.shards; ++shard) {
    const std::int64_t end = shard + 1 < options.shards ? starts[shard + 1] : std::ssize(tensors);
    const auto members = std::span(tensors).subspan(starts[shard], end - starts[shard]);
    const std::string name = options.shards == 1 ? "model.safetensors"
                                                 : fmt::format("model-{:05}-of-{:05}.safetensors",
                                                               shard + 1, options.shards);
    write_shard(folder, name, members, options);
    for (const TensorSpec& tensor : members) {
      shard_of.emplace(tensor.name, name);
      tensor_bytes += tensor.bytes();
    }
  }
  if (options.shards > 1) {
    std::vector<std::string> lines;
    for (const auto& [tensor, shard] : shard_of) {
      lines.push_back(fmt::format("    \"{}\": \"{}\"", tensor, shard));
    }
    const std::string index = fmt::format(
        "{{\n  \"metadata\": {{\"total_size\": {}}},\n  \"weight_map\": {{\n{}\n  }}\n}}\n",
        tensor_bytes, fmt::join(lines, ",\n"));
    put_file(folder / formats::kIndexFileName, index);
  }
  put_file(folder / "config.json", config);
  put_file(folder / "generation_config.json", "{\"bos_token_id\": 1, \"eos_token_id\": 2}\n");
  put_file(folder / "tokenizer_config.json", "{\"tokenizer_class\": \"LlamaTokenizer\"}\n");
}

void make_tokens(const std::filesystem::path& file, std::int64_t count, std::int64_t vocab,
                 std::uint64_t seed) {
  if (count < 1 || vocab < 1) throw std::invalid_argument("no tokens or no vocabulary");
  SeededStream random(seed, "tokens");
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& token : tokens) {
    // The cube makes small ids frequent, as they are in text.
    const double uniform = static_cast<double>(random.next() >> 11) * 0x1p-53;
    token = static_cast<std::int32_t>(static_cast<double>(vocab) * uniform * uniform * uniform);
  }
  const auto bytes = std::as_bytes(std::span(tokens));
  put_file(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace shardquant::tests
