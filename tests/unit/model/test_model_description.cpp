#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/families/llama.hpp"
#include "pipeline/model/model_layout.hpp"
#include "pipeline/model/require_quantizable.hpp"
#include "tests/support/shared_data.hpp"

namespace shardquant::model {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

Json base_config() {
  return Json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 64,
    "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 8,
    "num_key_value_heads": 4, "vocab_size": 512, "max_position_embeddings": 512,
    "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
    "torch_dtype": "float16", "bos_token_id": 1, "eos_token_id": [2, 3], "pretraining_tp": 1})");
}

ModelDescription describe(const Json& config) {
  return parse_model_description(config.dump(), "config.json");
}

Failure failure_of(const Json& config) {
  try {
    describe(config);
  } catch (const Failure& failure) {
    return failure;
  }
  return Failure(ExitCode::done, "");
}

std::string refusal(const std::function<void(Json&)>& change) {
  Json config = base_config();
  change(config);
  const Failure failure = failure_of(config);
  EXPECT_EQ(failure.code(), ExitCode::bad_data) << config.dump();
  return failure.what();
}

TEST(ModelDescription, ReadsLlama) {
  const ModelDescription model = describe(base_config());
  EXPECT_EQ(model.family, &kLlama);
  EXPECT_EQ(model.stored_format, nullptr);
  EXPECT_EQ(model.head_dim, 8);
  EXPECT_EQ(model.kv_heads, 4);
  EXPECT_EQ(model.rope.scaling, RopeScalingKind::none);
  EXPECT_FALSE(model.qkv_bias || model.o_bias || model.mlp_bias || model.qk_norm);
  EXPECT_THAT(model.windows, ElementsAre(0, 0));
  EXPECT_EQ(model.torch_dtype, "float16");
  EXPECT_EQ(lay_out_model(model).block_parameters(),
            2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 192));
}

TEST(ModelDescription, FillsDefaults) {
  Json config = base_config();
  for (const char* name : {"num_key_value_heads", "rope_theta", "rms_norm_eps", "torch_dtype",
                           "tie_word_embeddings", "max_position_embeddings", "hidden_act"}) {
    config.erase(name);
  }
  const ModelDescription model = describe(config);
  EXPECT_EQ(model.kv_heads, 8);
  EXPECT_EQ(model.rope.theta, 10000.0);
  EXPECT_EQ(model.rms_norm_eps, 1e-6);
  EXPECT_FALSE(model.tie_word_embeddings);
}

TEST(ModelDescription, FamiliesDifferInBiasesAndNorms) {
  Json config = base_config();
  config["attention_bias"] = true;
  config["mlp_bias"] = true;
  ModelDescription model = describe(config);
  EXPECT_TRUE(model.qkv_bias && model.o_bias && model.mlp_bias);
  config["architectures"] = {"MistralForCausalLM"};
  model = describe(config);
  EXPECT_FALSE(model.qkv_bias || model.o_bias || model.mlp_bias);
  config["architectures"] = {"Qwen2ForCausalLM"};
  model = describe(config);
  EXPECT_TRUE(model.qkv_bias && !model.o_bias && !model.mlp_bias && !model.qk_norm);
  config["architectures"] = {"Qwen3ForCausalLM"};
  model = describe(config);
  EXPECT_TRUE(model.qkv_bias && model.o_bias && !model.mlp_bias && model.qk_norm);
  EXPECT_EQ(model.head_dim, 128) << "Qwen3 does not derive it from hidden_size";
}

TEST(ModelDescription, RefusesOtherArchitecturesByName) {
  EXPECT_THAT(refusal([](Json& c) { c["architectures"] = {"GemmaForCausalLM"}; }),
              AllOf(HasSubstr("config.json"), HasSubstr("\"GemmaForCausalLM\" is not supported")));
  EXPECT_THAT(refusal([](Json& c) {
                c["architectures"] = {"LlamaForCausalLM", "x"};
              }),
              HasSubstr("exactly one"));
  EXPECT_THAT(refusal([](Json& c) { c["architectures"] = Json::array(); }),
              HasSubstr("exactly one"));
  EXPECT_THAT(refusal([](Json& c) { c["architectures"] = "LlamaForCausalLM"; }),
              HasSubstr("exactly one"));
  EXPECT_THAT(refusal([](Json& c) { c.erase("architectures"); }), HasSubstr("\"architectures\""));
  EXPECT_THAT(refusal([](Json& c) { c["architectures"] = {"\n<b>"}; }), HasSubstr("\\n<b>"));
  EXPECT_THAT(refusal([](Json& c) { c["hidden_act"] = "gelu"; }), HasSubstr("\"gelu\""));
}

TEST(ModelDescription, RopeScalings) {
  Json config = base_config();
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  EXPECT_EQ(describe(config).rope.scaling, RopeScalingKind::linear);
  EXPECT_EQ(describe(config).rope.factor, 4.0);
  config["rope_scaling"] = {{"rope_type", "default"}};
  EXPECT_EQ(describe(config).rope.scaling, RopeScalingKind::none);
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  EXPECT_EQ(describe(config).rope.scaling, RopeScalingKind::llama3);
  EXPECT_EQ(describe(config).rope.original_max_position_embeddings, 8192);
  // The form of newer transformers.
  config["rope_parameters"] = config["rope_scaling"];
  config["rope_parameters"]["rope_theta"] = 500000.0;
  config.erase("rope_scaling");
  config.erase("rope_theta");
  EXPECT_EQ(describe(config).rope.theta, 500000.0);
  EXPECT_EQ(describe(config).rope.scaling, RopeScalingKind::llama3);

  for (const char* kind : {"yarn", "dynamic", "longrope", "mrope"}) {
    EXPECT_THAT(refusal([&](Json& c) {
                  c["rope_scaling"] = {{"type", kind}, {"factor", 2.0}};
                }),
                HasSubstr(fmt::format("\"{}\" is not supported", kind)));
  }
  EXPECT_THAT(refusal([](Json& c) {
                c["rope_scaling"] = {{"factor", 2.0}};
              }),
              HasSubstr("rope_type"));
  EXPECT_THAT(refusal([](Json& c) {
                c["rope_scaling"] = {{"type", "linear"}};
              }),
              HasSubstr("factor"));
  EXPECT_THAT(refusal([](Json& c) {
                c["rope_scaling"] = {{"type", "linear"}, {"factor", 0}};
              }),
              HasSubstr("rope_scaling.factor"));
  EXPECT_THAT(refusal([](Json& c) {
                c["rope_scaling"] = {{"type", "llama3"},
                                     {"factor", 8},
                                     {"low_freq_factor", 4},
                                     {"high_freq_factor", 4},
                                     {"original_max_position_embeddings", 8192}};
              }),
              HasSubstr("high_freq_factor"));
}

TEST(ModelDescription, SlidingWindows) {
  Json config = base_config();
  config["sliding_window"] = 128;
  EXPECT_THAT(describe(config).windows, Each(0)) << "Llama has none";
  config["architectures"] = {"MistralForCausalLM"};
  EXPECT_THAT(describe(config).windows, ElementsAre(128, 128));
  config["sliding_window"] = nullptr;
  EXPECT_THAT(describe(config).windows, Each(0));
  config["sliding_window"] = 128;
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["max_window_layers"] = 1;
  config["use_sliding_window"] = false;
  EXPECT_THAT(describe(config).windows, Each(0));
  config["use_sliding_window"] = true;
  EXPECT_THAT(describe(config).windows, ElementsAre(0, 128));
  config["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_THAT(describe(config).windows, ElementsAre(128, 0));
  config["layer_types"] = {"full_attention", "chunked_attention"};
  EXPECT_THAT(failure_of(config).what(), HasSubstr("layer_types[1]"));
  config["layer_types"] = {"full_attention"};
  EXPECT_THAT(failure_of(config).what(), HasSubstr("list of 2"));
}

// Whether weights are quantized the tensors tell.
TEST(ModelDescription, QuantizationIsNoted) {
  Json config = base_config();
  EXPECT_EQ(describe(config).quantization, "");
  config["quantization_config"] = {{"quant_method", "exl2"}, {"bits", 4.0}};
  const ModelDescription model = describe(config);
  EXPECT_EQ(model.stored_format, &exl2::exl2_format());
  EXPECT_THROW(require_quantizable(model, lay_out_model(model), exl2::exl2_format()), Failure);
  for (const char* method : {"gptq", "fp8", "awq", "exl3"}) {
    config["quantization_config"] = {{"quant_method", method}, {"bits", 4.0}};
    EXPECT_EQ(describe(config).quantization, method);
    EXPECT_EQ(describe(config).stored_format, nullptr);
  }
  config["quantization_config"] = Json::object();
  EXPECT_EQ(describe(config).quantization, "another method");
}

// CFG-BOUNDS: every integer at absurd values.
TEST(ModelDescription, IntegersOutOfBoundsAreRefusedByName) {
  Json config = base_config();
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["head_dim"] = 8;
  config["sliding_window"] = 4096;
  config["max_window_layers"] = 28;
  config["pad_token_id"] = 0;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  ASSERT_EQ(failure_of(config).code(), ExitCode::done);
  // Where 0 or -1 has a meaning, it is taken.
  const std::vector<std::pair<std::string, std::vector<std::int64_t>>> legal = {
      {"max_window_layers", {0}},
      {"bos_token_id", {-1, 0}},
      {"eos_token_id", {-1, 0}},
      {"pad_token_id", {-1, 0}}};
  const std::vector<Json> values = {-1,    0,  std::int64_t{1} << 31, std::uint64_t{1} << 63,
                                    1e308, "7"};
  int refused = 0;
  const auto check = [&](const std::string& name, const Json& changed, const Json& value) {
    const auto entry = std::find_if(legal.begin(), legal.end(),
                                    [&](const auto& known) { return known.first == name; });
    const bool is_legal =
        entry != legal.end() && value.is_number_integer() &&
        std::count(entry->second.begin(), entry->second.end(), value.get<std::int64_t>()) > 0;
    const Failure failure = failure_of(changed);
    EXPECT_EQ(failure.code(), is_legal ? ExitCode::done : ExitCode::bad_data)
        << name << " = " << value;
    if (!is_legal) {
      EXPECT_THAT(failure.what(), HasSubstr(name)) << value;
      ++refused;
    }
  };
  for (const auto& [name, original] : config.items()) {
    if (!original.is_number_integer()) continue;
    for (const Json& value : values) {
      Json changed = config;
      changed[name] = value;
      check(name, changed, value);
    }
  }
  for (const Json& value : values) {
    Json changed = config;
    changed["rope_scaling"]["original_max_position_embeddings"] = value;
    check("original_max_position_embeddings", changed, value);
  }
  for (const Json& value : values) {
    Json changed = config;
    changed["eos_token_id"] = {2, value};
    check("eos_token_id", changed, value);
  }
  EXPECT_GT(refused, 80);
}

TEST(ModelDescription, SizesMustFitTogether) {
  EXPECT_THAT(refusal([](Json& c) { c["num_key_value_heads"] = 3; }), HasSubstr("does not divide"));
  EXPECT_THAT(refusal([](Json& c) { c["hidden_size"] = 60; }), HasSubstr("heads"));
  EXPECT_THAT(refusal([](Json& c) { c["head_dim"] = 7; }), HasSubstr("odd"));
  EXPECT_THAT(refusal([](Json& c) { c.erase("hidden_size"); }), HasSubstr("\"hidden_size\""));
}

TEST(ModelLayout, HasGroupsAndModulesInOrder) {
  Json config = base_config();
  config["architectures"] = {"Qwen3ForCausalLM"};
  config["head_dim"] = 16;
  const ModelDescription model = describe(config);
  const ModelLayout layout = lay_out_model(model);
  ASSERT_EQ(layout.linear_layers.size(), 15u);
  ASSERT_EQ(layout.groups.size(), 9u);
  EXPECT_EQ(layout.linear_layers[7].key, "model.layers.1.self_attn.q_proj");
  EXPECT_EQ(layout.linear_layers[7].outputs, 128);
  EXPECT_EQ(layout.linear_layers[8].outputs, 64);
  EXPECT_EQ(layout.linear_layers[10].inputs, 128);
  EXPECT_EQ(layout.linear_layers[13].inputs, 192);
  EXPECT_EQ(layout.head().key, "lm_head");
  EXPECT_EQ(layout.head().block, 2);
  EXPECT_EQ(layout.groups[4].name, "model.layers.1.attn_in");
  EXPECT_THAT(layout.groups[4].layers, ElementsAre(7, 8, 9));
  EXPECT_EQ(layout.groups[5].name, "model.layers.1.o_in");
  EXPECT_THAT(layout.groups[6].layers, ElementsAre(11, 12));
  EXPECT_EQ(layout.groups[7].inputs, 192);
  EXPECT_EQ(layout.groups[8].name, "head_in");
  for (const HessianGroup& group : layout.groups) {
    for (const std::int64_t layer : group.layers) {
      EXPECT_EQ(layout.linear_layers[layer].group, group.index);
      EXPECT_EQ(layout.linear_layers[layer].inputs, group.inputs);
      EXPECT_EQ(layout.linear_layers[layer].block, group.block);
    }
  }
  std::vector<std::string> names;
  for (const ModuleRef& module : layout.modules) {
    names.push_back(module.kind == ModuleRef::Kind::linear
                        ? layout.linear_layers[module.index].key
                        : layout.plain_tensors[module.index].name);
  }
  ASSERT_EQ(names.size(), layout.linear_layers.size() + layout.plain_tensors.size());
  names.resize(12);
  EXPECT_THAT(
      names,
      ElementsAre("model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                  "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
                  "model.layers.0.self_attn.v_proj", "model.layers.0.self_attn.q_norm.weight",
                  "model.layers.0.self_attn.k_norm.weight", "model.layers.0.self_attn.o_proj",
                  "model.layers.0.post_attention_layernorm.weight", "model.layers.0.mlp.gate_proj",
                  "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"));
}

TEST(ModelLayout, LayersThatCannotBeStoredAreNamed) {
  Json config = base_config();
  ModelDescription model = describe(config);
  require_quantizable(model, lay_out_model(model), exl2::exl2_format());
  config["intermediate_size"] = 172;
  model = describe(config);
  try {
    require_quantizable(model, lay_out_model(model), exl2::exl2_format());
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    EXPECT_THAT(failure.what(),
                AllOf(HasSubstr("model.layers.0.mlp.down_proj"), HasSubstr("172 inputs")));
  }
  config["intermediate_size"] = 65568;
  model = describe(config);
  EXPECT_THROW(require_quantizable(model, lay_out_model(model), exl2::exl2_format()), Failure);
}

TEST(ModelDescriptionShared, LargeModels) {
  SKIP_WITHOUT_SHARED("data/configs");
  const auto read = [](const std::string& name) {
    const std::string path = tests::shared_path("data/configs/" + name + "_config.json");
    return parse_model_description(formats::read_text_file(path, 1 << 20), path);
  };
  EXPECT_EQ(lay_out_model(read("meta-llama--Llama-2-70b-hf")).block_parameters(), 68'451'041'280);
  EXPECT_EQ(read("meta-llama--Meta-Llama-3.1-405B").rope.scaling, RopeScalingKind::llama3);
  EXPECT_THAT(read("Qwen--Qwen2.5-72B-Instruct").windows, Each(0));
  EXPECT_EQ(read("Qwen--Qwen3-32B").head_dim, 128);
  EXPECT_EQ(lay_out_model(read("Qwen--Qwen3-32B")).linear_layers[0].outputs, 8192);
  for (const char* name :
       {"mistralai--Mixtral-8x7B-v0.1", "deepseek-ai--DeepSeek-V3", "Qwen--Qwen3-30B-A3B"}) {
    EXPECT_THROW(read(name), Failure);
  }
}

}  // namespace
}  // namespace shardquant::model
