#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/families/qwen2.hpp"
#include "pipeline/model/families/qwen3.hpp"
#include "pipeline/output/reader_fields.hpp"

namespace shardquant::output {
namespace {

using nlohmann::json;

// What ExLlamaV2 0.3.2 makes of a config.json of these families, in words of our own: the first of
// the names that is there and not null counts, else the default; a value of another type ends it.
class Reader {
 public:
  explicit Reader(json config) : config_(std::move(config)) {}

  double number(const std::vector<std::string>& names, std::optional<double> fallback) const {
    for (const std::string& name : names) {
      if (!config_.contains(name) || config_[name].is_null()) continue;
      EXPECT_TRUE(config_[name].is_number()) << name << " ends in a TypeError";
      return config_[name].get<double>();
    }
    EXPECT_TRUE(fallback.has_value()) << names.front() << " is missing: ValueError";
    return fallback.value_or(0.0);
  }
  bool flag(const std::string& name, bool fallback) const {
    if (!config_.contains(name) || config_[name].is_null()) return fallback;
    return config_[name].get<bool>();
  }
  bool is_absent(const std::string& name) const {
    return !config_.contains(name) || config_[name].is_null();
  }
  json rope_scaling() const {
    if (is_absent("rope_scaling")) return json::object();
    const json scaling = config_["rope_scaling"];
    EXPECT_FALSE(scaling.contains("type") && scaling.contains("rope_type")) << "AssertionError";
    return scaling;
  }
  const json& config() const { return config_; }

 private:
  json config_;
};

json base_config(const std::string& architecture) {
  return {{"architectures", {architecture}}, {"hidden_size", 256},       {"intermediate_size", 512},
          {"num_hidden_layers", 2},          {"num_attention_heads", 4}, {"vocab_size", 1000}};
}

struct Resolved {
  model::ModelDescription model;
  Reader reader;
};

Resolved resolve(const json& config) {
  const std::string text = config.dump();
  model::ModelDescription model = model::parse_model_description(text, "config.json");
  const weights::WeightFormat& format = exl2::exl2_format();
  const std::string written = format.config_text(
      text, "config.json", {4.0, 6, 8, 64, "t", {}, reader_fields(format, model)});
  return {model, Reader(json::parse(written))};
}

// Every number of the forward pass is the same for both.
void expect_same_model(const json& config) {
  SCOPED_TRACE(config.dump());
  const auto [model, reader] = resolve(config);
  const bool is_qwen3 = model.family == &model::kQwen3;
  EXPECT_EQ(reader.number({"rms_norm_eps"}, std::nullopt), model.rms_norm_eps);
  EXPECT_EQ(reader.number({"head_dim"}, 256.0 / 4), model.head_dim);
  EXPECT_EQ(reader.number({"num_key_value_heads", "attn_config->kv_n_heads"}, 4), model.kv_heads);
  EXPECT_EQ(reader.flag("use_qk_norm", is_qwen3), model.qk_norm);
  EXPECT_EQ(
      reader.number({"max_sequence_length", "model_max_length", "max_position_embeddings"}, 2048),
      model.max_position_embeddings);
  EXPECT_EQ(reader.number({"rope_theta"}, 10000.0), model.rope.theta);
  EXPECT_EQ(reader.number({"partial_rotary_factor"}, 1.0), 1.0);
  EXPECT_EQ(reader.number({"logit_scale"}, 1.0), 1.0);
  EXPECT_EQ(reader.number({"scale_emb", "embedding_multiplier"}, 1.0), 1.0);
  for (const char* name :
       {"logits_scaling", "residual_multiplier", "scale_depth", "attn_logit_softcapping",
        "final_logit_softcapping", "norm_head", "attention_multiplier", "query_pre_attn_scalar"}) {
    EXPECT_TRUE(reader.is_absent(name)) << name;
  }
  const bool is_qwen2 = model.family == &model::kQwen2;
  const bool attention_bias = reader.flag("attention_bias", false) && !is_qwen2;
  EXPECT_EQ(attention_bias || is_qwen2, model.qkv_bias);
  EXPECT_EQ(attention_bias, model.o_bias);
  EXPECT_EQ(reader.flag("mlp_bias", false), model.mlp_bias);
  EXPECT_EQ(reader.flag("tie_word_embeddings", false), model.tie_word_embeddings);

  const json scaling = reader.rope_scaling();
  const std::string kind = scaling.value("type", scaling.value("rope_type", "none"));
  switch (model.rope.scaling) {
    case model::RopeScalingKind::none:
      EXPECT_TRUE(kind == "none" || kind == "default") << kind;
      break;
    case model::RopeScalingKind::linear:
      EXPECT_EQ(kind, "linear");
      EXPECT_EQ(scaling.at("factor"), model.rope.factor);
      break;
    case model::RopeScalingKind::llama3:
      EXPECT_EQ(kind, "llama3");
      EXPECT_EQ(scaling.at("factor"), model.rope.factor);
      EXPECT_EQ(scaling.at("low_freq_factor"), model.rope.low_freq_factor);
      EXPECT_EQ(scaling.at("high_freq_factor"), model.rope.high_freq_factor);
      EXPECT_EQ(scaling.at("original_max_position_embeddings"),
                model.rope.original_max_position_embeddings);
      break;
  }
}

TEST(Exl2ReaderFields, every_field_is_read_as_it_was_computed_with) {
  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8},
                       {"low_freq_factor", 1},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 512}};
  json with_theta = llama3;
  with_theta["rope_theta"] = 500000;
  json both_types = llama3;
  both_types["type"] = "llama3";
  const std::vector<std::pair<std::string, json>> cases = {
      {"rms_norm_eps", nullptr},
      {"rms_norm_eps", 1e-5},
      {"head_dim", 32},
      {"num_key_value_heads", 2},
      {"use_qk_norm", true},
      {"use_qk_norm", false},
      {"max_position_embeddings", 4096},
      {"max_sequence_length", 77},
      {"model_max_length", 77},
      {"rope_theta", 1e6},
      {"rope_parameters", {{"rope_theta", 1e5}, {"rope_type", "default"}}},
      {"rope_parameters", with_theta},
      {"rope_parameters", {{"rope_theta", 1e5}, {"rope_type", "linear"}, {"factor", 2}}},
      {"rope_scaling", with_theta},
      {"rope_scaling", both_types},
      {"rope_scaling", {{"type", "default"}, {"rope_type", "default"}}},
      {"rope_scaling", {{"type", "linear"}, {"rope_type", "linear"}, {"factor", 4}}},
      {"rope_scaling", {{"rope_theta", 5e5}, {"rope_type", "default"}}},
      {"attention_bias", true},
      {"mlp_bias", true},
      {"tie_word_embeddings", true},
      {"logit_scale", 0.5},
      {"scale_emb", 12},
      {"embedding_multiplier", 12},
      {"logits_scaling", 8},
      {"residual_multiplier", 0.2},
      {"scale_depth", 1.4},
      {"attn_logit_softcapping", 50},
      {"final_logit_softcapping", 30},
      {"norm_head", 1},
      {"attention_multiplier", 0.1},
      {"query_pre_attn_scalar", 144}};
  for (const char* family :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    expect_same_model(base_config(family));
    for (const auto& [name, value] : cases) {
      json config = base_config(family);
      config[name] = value;
      expect_same_model(config);
    }
  }
}

// A model saved by transformers 5: theta is nowhere but in rope_parameters.
TEST(Exl2ReaderFields, rope_of_transformers_5_reaches_the_reader) {
  json config = base_config("LlamaForCausalLM");
  config["rope_parameters"] = {{"rope_theta", 100000.0}, {"rope_type", "default"}};
  const json written = resolve(config).reader.config();
  EXPECT_EQ(written["rope_theta"], 100000.0);
  EXPECT_EQ(written["rope_parameters"], config["rope_parameters"]) << "the rest stays";
}

TEST(Exl2ReaderFields, what_the_reader_finds_right_is_left_as_it_is) {
  json config = base_config("LlamaForCausalLM");
  config["rms_norm_eps"] = 1e-5;
  config["rope_theta"] = 10000;
  config["bos_token_id"] = {1, 2};
  config["pad_token_id"] = json::array();
  config["eos_token_id"] = {2, 3};
  config["something"] = {{"else", 1}};
  const json written = resolve(config).reader.config();
  EXPECT_TRUE(written["rope_theta"].is_number_integer());
  EXPECT_FALSE(written.contains("head_dim"));
  EXPECT_FALSE(written.contains("logit_scale"));
  EXPECT_EQ(written["something"], config["something"]);
  // One number for the reader, which would end otherwise.
  EXPECT_EQ(written["bos_token_id"], 1);
  EXPECT_TRUE(written["pad_token_id"].is_null());
  EXPECT_EQ(written["eos_token_id"], config["eos_token_id"]);
}

}  // namespace
}  // namespace shardquant::output
