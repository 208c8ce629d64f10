#include "pipeline/model/model_description.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::model {

namespace {

using formats::JsonNode;

// Bounds before any product: the largest product, hidden by vocabulary, stays below 2^45.
constexpr std::int64_t kMaxLayers = 10'000;
constexpr std::int64_t kMaxHidden = std::int64_t{1} << 20;
constexpr std::int64_t kMaxIntermediate = std::int64_t{1} << 22;
constexpr std::int64_t kMaxHeads = std::int64_t{1} << 14;
constexpr std::int64_t kMaxHeadDim = 4096;
constexpr std::int64_t kMaxVocab = std::int64_t{1} << 24;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 30;
constexpr std::int64_t kMaxTokenId = kMaxVocab;
constexpr std::int64_t kMaxConfigBytes = std::int64_t{16} << 20;

struct FamilyEntry {
  std::string_view architecture;
  Family family;
  std::string_view name;
  std::int64_t default_head_dim;  // 0: hidden_size / num_attention_heads
};

constexpr std::array<FamilyEntry, 4> kFamilies = {{
    {"LlamaForCausalLM", Family::llama, "Llama", 0},
    {"MistralForCausalLM", Family::mistral, "Mistral", 0},
    {"Qwen2ForCausalLM", Family::qwen2, "Qwen2", 0},
    {"Qwen3ForCausalLM", Family::qwen3, "Qwen3", 128},
}};

// Integers this program does not use but passes on, which no sane model has outside these bounds.
struct PassedInteger {
  std::string_view name;
  std::int64_t low;
  std::int64_t high;
};

constexpr std::array<PassedInteger, 4> kPassedIntegers = {{
    {"pretraining_tp", 1, 65536},
    {"bos_token_id", -1, kMaxTokenId},
    {"eos_token_id", -1, kMaxTokenId},
    {"pad_token_id", -1, kMaxTokenId},
}};

const FamilyEntry& read_family(const JsonNode& config) {
  const JsonNode list = config.at("architectures");
  if (!list.is_array() || list.size() != 1) list.refuse("must name exactly one architecture");
  const std::string& architecture = list.at(std::int64_t{0}).as_string();
  for (const FamilyEntry& entry : kFamilies) {
    if (entry.architecture == architecture) return entry;
  }
  list.refuse("the architecture " + formats::json_quote(architecture) +
              " is not supported; known are LlamaForCausalLM, MistralForCausalLM, "
              "Qwen2ForCausalLM and Qwen3ForCausalLM");
}

Storage read_storage(const JsonNode& config) {
  const auto quantization = config.find("quantization_config");
  if (!quantization) return Storage::plain;
  const JsonNode method = quantization->at("quant_method");
  if (method.as_string() == "exl2") return Storage::exl2;
  method.refuse("weights quantized with " + formats::json_quote(method.as_string()) +
                " are not supported; start from an unquantized model");
}

void read_sizes(const JsonNode& config, const FamilyEntry& family, ModelDescription& model) {
  model.layers = config.integer("num_hidden_layers", 1, kMaxLayers);
  model.hidden_size = config.integer("hidden_size", 1, kMaxHidden);
  model.intermediate_size = config.integer("intermediate_size", 1, kMaxIntermediate);
  model.vocab_size = config.integer("vocab_size", 1, kMaxVocab);
  model.heads = config.integer("num_attention_heads", 1, kMaxHeads);
  model.kv_heads = config.integer_or("num_key_value_heads", model.heads, 1, kMaxHeads);
  if (model.heads % model.kv_heads != 0) {
    config.at("num_key_value_heads")
        .refuse(
            fmt::format("{} does not divide num_attention_heads, {}", model.kv_heads, model.heads));
  }
  const bool divides = model.hidden_size % model.heads == 0;
  const std::int64_t fallback = family.default_head_dim > 0 ? family.default_head_dim
                                : divides                   ? model.hidden_size / model.heads
                                                            : 0;
  model.head_dim = config.integer_or("head_dim", fallback, 1, kMaxHeadDim);
  if (model.head_dim < 1 || model.head_dim > kMaxHeadDim) {
    config.at("num_attention_heads")
        .refuse(fmt::format("{} does not cut hidden_size {} into heads of 1 to {}", model.heads,
                            model.hidden_size, kMaxHeadDim));
  }
  if (model.head_dim % 2 != 0) {
    config.refuse(fmt::format("heads of odd size {} cannot be rotated", model.head_dim));
  }
  model.max_position_embeddings =
      config.integer_or("max_position_embeddings", 2048, 1, kMaxPositions);
  model.rms_norm_eps = config.number_or("rms_norm_eps", 1e-6, 0.0, 1.0);
}

void read_llama3_factors(const JsonNode& scaling, RopeSettings& rope) {
  rope.factor = scaling.number("factor", 1.0, 1e6);
  rope.low_freq_factor = scaling.number("low_freq_factor", 1e-6, 1e6);
  rope.high_freq_factor = scaling.number("high_freq_factor", 1e-6, 1e6);
  rope.original_max_position_embeddings =
      scaling.integer("original_max_position_embeddings", 1, kMaxPositions);
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    scaling.refuse("high_freq_factor must be larger than low_freq_factor");
  }
}

// rope_theta and rope_scaling, or rope_parameters, into which newer transformers put both.
RopeSettings read_rope(const JsonNode& config) {
  constexpr double kLargestTheta = 1e15;
  RopeSettings rope;
  const auto parameters = config.find("rope_parameters");
  const auto scaling = parameters ? parameters : config.find("rope_scaling");
  rope.theta = config.number_or("rope_theta", rope.theta, 1.0, kLargestTheta);
  if (parameters) rope.theta = parameters->number_or("rope_theta", rope.theta, 1.0, kLargestTheta);
  if (!scaling) return rope;

  const auto named = scaling->find("rope_type");
  const auto kind = named ? named : scaling->find("type");
  if (!kind) scaling->refuse("\"rope_type\" is missing");
  if (kind->as_string() == "default") return rope;
  if (kind->as_string() == "linear") {
    rope.scaling = RopeScalingKind::linear;
    rope.factor = scaling->number("factor", 1.0, 1e6);
  } else if (kind->as_string() == "llama3") {
    rope.scaling = RopeScalingKind::llama3;
    read_llama3_factors(*scaling, rope);
  } else {
    kind->refuse("the RoPE scaling " + formats::json_quote(kind->as_string()) +
                 " is not supported; known are default, linear and llama3");
  }
  return rope;
}

void read_biases(const JsonNode& config, ModelDescription& model) {
  switch (model.family) {
    case Family::llama:
      model.qkv_bias = config.boolean_or("attention_bias", false);
      model.o_bias = model.qkv_bias;
      model.mlp_bias = config.boolean_or("mlp_bias", false);
      break;
    case Family::mistral:
      break;
    case Family::qwen2:
      model.qkv_bias = true;
      break;
    case Family::qwen3:
      model.qkv_bias = config.boolean_or("attention_bias", false);
      model.o_bias = model.qkv_bias;
      model.qk_norm = true;
      break;
  }
}

// Blocks with a sliding window: layer_types where given, else every block (Mistral) or those from
// max_window_layers on where use_sliding_window is set (Qwen).
std::vector<std::int64_t> read_windows(const JsonNode& config, const ModelDescription& model) {
  std::vector<std::int64_t> windows(model.layers, 0);
  const std::int64_t window = config.integer_or("sliding_window", 0, 1, kMaxPositions);
  const std::int64_t first = config.integer_or("max_window_layers", 28, 0, kMaxLayers);
  const bool is_qwen = model.family == Family::qwen2 || model.family == Family::qwen3;
  const bool in_use =
      is_qwen ? config.boolean_or("use_sliding_window", false) : model.family == Family::mistral;
  const auto types = config.find("layer_types");
  if (types && (!types->is_array() || types->size() != model.layers)) {
    types->refuse(fmt::format("must be a list of {} entries, one for each layer", model.layers));
  }
  for (std::int64_t block = 0; block < model.layers; ++block) {
    bool slides = in_use && (!is_qwen || block >= first);
    if (types) {
      const std::string& type = types->at(block).as_string();
      slides = type == "sliding_attention";
      if (!slides && type != "full_attention") {
        types->at(block).refuse("attention of this type is not supported");
      }
      if (slides && window == 0) types->at(block).refuse("sliding_window is not given");
    }
    if (slides) windows[block] = window;
  }
  return windows;
}

void check_passed_values(const JsonNode& config) {
  for (const PassedInteger& known : kPassedIntegers) {
    const auto value = config.find(known.name);
    if (!value) continue;
    if (!value->is_array()) {
      value->as_integer(known.low, known.high);
      continue;
    }
    for (std::int64_t i = 0; i < value->size(); ++i) value->at(i).as_integer(known.low, known.high);
  }
  const std::string activation = config.string_or("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    config.at("hidden_act")
        .refuse("the activation " + formats::json_quote(activation) +
                " is not supported; known is silu");
  }
}

}  // namespace

std::int64_t ModelDescription::block_parameters() const {
  const std::int64_t attention = hidden_size * head_dim * 2 * (heads + kv_heads);
  return layers * (attention + 3 * hidden_size * intermediate_size);
}

ModelDescription parse_model_description(std::string_view config_text, const std::string& file) {
  const formats::JsonText text =
      formats::JsonText::parse(config_text, file, {.bytes = kMaxConfigBytes});
  const JsonNode config = text.root();
  const FamilyEntry& family = read_family(config);
  ModelDescription model;
  model.family = family.family;
  model.architecture = family.architecture;
  model.storage = read_storage(config);
  read_sizes(config, family, model);
  model.rope = read_rope(config);
  read_biases(config, model);
  model.windows = read_windows(config, model);
  model.tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  check_passed_values(config);
  model.torch_dtype = config.string_or("torch_dtype", config.string_or("dtype", ""));
  model.config_file = file;
  model.config_text = config_text;
  return model;
}

ModelDescription read_model_description(const formats::ModelDirectory& folder) {
  const formats::FileHandle file = folder.open("config.json");
  const std::int64_t bytes = file.size();
  if (bytes > kMaxConfigBytes) {
    fail(ExitCode::bad_data, "{}: {} bytes are too many for a config.json", file.name(), bytes);
  }
  std::string text(bytes, '\0');
  file.read_exact(0, std::as_writable_bytes(std::span(text)));
  return parse_model_description(text, file.name());
}

std::string_view family_name(Family family) {
  return std::find_if(kFamilies.begin(), kFamilies.end(),
                      [family](const FamilyEntry& entry) { return entry.family == family; })
      ->name;
}

}  // namespace shardquant::model
