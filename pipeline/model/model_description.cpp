#include "pipeline/model/model_description.hpp"

#include <array>
#include <optional>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"
#include "pipeline/model/families/families.hpp"

namespace shardquant::model {

namespace {

using formats::JsonNode;

// See the bounds in model_description.hpp.
constexpr std::int64_t kMaxHidden = std::int64_t{1} << 20;
constexpr std::int64_t kMaxIntermediate = std::int64_t{1} << 22;
constexpr std::int64_t kMaxHeads = std::int64_t{1} << 14;
constexpr std::int64_t kMaxHeadDim = 4096;
constexpr std::int64_t kMaxVocab = std::int64_t{1} << 24;
constexpr std::int64_t kMaxTokenId = kMaxVocab;
constexpr std::int64_t kMaxConfigBytes = std::int64_t{16} << 20;

// Integers this program does not use but passes on, which no sane model has outside these bounds.
struct PassedInteger {
  std::string_view name;
  std::int64_t low;
  std::int64_t high;
};

constexpr std::array<PassedInteger, 5> kPassedIntegers = {{
    {"pretraining_tp", 1, 65536},
    {"bos_token_id", -1, kMaxTokenId},
    {"eos_token_id", -1, kMaxTokenId},
    {"pad_token_id", -1, kMaxTokenId},
    {"max_window_layers", 0, kMaxLayers},
}};

const Family& read_family(const JsonNode& config) {
  const JsonNode list = config.at("architectures");
  if (!list.is_array() || list.size() != 1) list.refuse("must name exactly one architecture");
  const std::string& architecture = list.at(std::int64_t{0}).as_string();
  if (const Family* family = find_family(architecture)) return *family;
  std::string known;
  const auto all = families();
  for (std::size_t i = 0; i < all.size(); ++i) {
    known += i == 0 ? "" : i + 1 < all.size() ? ", " : " and ";
    known += all[i]->architecture;
  }
  list.refuse("the architecture " + formats::json_quote(architecture) +
              " is not supported; known are " + known);
}

void read_sizes(const JsonNode& config, const Family& family, ModelDescription& model) {
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
}

}  // namespace

formats::Dtype ModelDescription::dtype() const {
  if (torch_dtype == "float32") return formats::Dtype::f32;
  return torch_dtype == "bfloat16" ? formats::Dtype::bf16 : formats::Dtype::f16;
}

ModelDescription parse_model_description(std::string_view config_text, const std::string& file) {
  const formats::JsonText text =
      formats::JsonText::parse(config_text, file, {.bytes = kMaxConfigBytes});
  const JsonNode config = text.root();
  const Family& family = read_family(config);
  ModelDescription model;
  model.family = &family;
  if (const auto quantization = config.find("quantization_config")) {
    model.quantization = quantization->string_or("quant_method", "another method");
    model.stored_format = weights::find_weight_format(model.quantization);
  }
  read_sizes(config, family, model);
  family.read(config, model);
  model.tie_word_embeddings = config.boolean_or("tie_word_embeddings", family.ties_embeddings);
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

}  // namespace shardquant::model
