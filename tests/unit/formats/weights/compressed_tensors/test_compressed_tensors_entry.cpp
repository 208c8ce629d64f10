#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/formats/weights/compressed_tensors/scheme_lookup.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::compressed_tensors {
namespace {

using ::testing::HasSubstr;

CompressedTensorsEntry mixed_entry() {
  CompressedTensorsEntry entry;
  const PackQuantizedScheme three{3, 64, true};
  const PackQuantizedScheme eight{8, 0, true};
  entry.targets = {{"model.layers.0.mlp.down_proj", eight},
                   {"model.layers.0.self_attn.q_proj", three},
                   {"model.layers.0.self_attn.k_proj", three},
                   {pattern_below("model.layers.1.mlp.experts"), {4, 128, false}}};
  entry.ignore = {"lm_head", "re:^mtp\\..*"};
  return entry;
}

CompressedTensorsEntry read(const std::string& text) {
  const formats::JsonText json = formats::JsonText::parse(text, "config.json");
  return read_compressed_tensors(json.root());
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

TEST(CompressedTensorsEntry, TextIsThatOfTheFormat) {
  CompressedTensorsEntry entry;
  entry.targets = {{"a.up", {8, 0, true}}, {"a.q", {3, 64, true}}, {"a.k", {3, 64, true}}};
  entry.ignore = {"lm_head"};
  EXPECT_EQ(compressed_tensors_text(entry), R"({
  "quant_method": "compressed-tensors",
  "format": "pack-quantized",
  "quantization_status": "compressed",
  "kv_cache_scheme": null,
  "ignore": [
    "lm_head"
  ],
  "config_groups": {
    "w3g64s": {
      "targets": [
        "a.q",
        "a.k"
      ],
      "format": "pack-quantized",
      "input_activations": null,
      "output_activations": null,
      "weights": {
        "num_bits": 3,
        "type": "int",
        "symmetric": true,
        "strategy": "group",
        "group_size": 64,
        "dynamic": false,
        "actorder": null
      }
    },
    "w8cs": {
      "targets": [
        "a.up"
      ],
      "format": "pack-quantized",
      "input_activations": null,
      "output_activations": null,
      "weights": {
        "num_bits": 8,
        "type": "int",
        "symmetric": true,
        "strategy": "channel",
        "group_size": null,
        "dynamic": false,
        "actorder": null
      }
    }
  }
})");
}

TEST(CompressedTensorsEntry, ReadsBackWhatItWrote) {
  const CompressedTensorsEntry entry = mixed_entry();
  const std::string text = compressed_tensors_text(entry);
  const CompressedTensorsEntry again = read(text);
  EXPECT_EQ(again.ignore, entry.ignore);
  EXPECT_THAT(again.targets, ::testing::UnorderedElementsAreArray(entry.targets));
  EXPECT_EQ(compressed_tensors_text(again), text);
  CompressedTensorsEntry twice = entry;
  twice.targets.push_back({"model.layers.0.mlp.down_proj", {4, 32, true}});
  tests::expect_refusal([&] { compressed_tensors_text(twice); }, ExitCode::internal,
                        {"model.layers.0.mlp.down_proj", "two schemes"});
}

TEST(CompressedTensorsEntry, ReadsWhatOthersWrite) {
  const CompressedTensorsEntry entry = read(R"({"quant_method": "compressed-tensors",
    "format": "pack-quantized", "global_compression_ratio": null, "config_groups": {"group_0": {
    "targets": ["a"], "weights": {"num_bits": 4, "type": "int", "strategy": "group",
    "group_size": 128, "dynamic": false, "actorder": "weight", "observer": "minmax",
    "observer_kwargs": {}, "block_structure": null}}, "group_1": {"targets": ["b"], "weights": {
    "num_bits": 8, "type": "int", "strategy": "channel", "group_size": -1, "symmetric": false,
    "actorder": false}}}})");
  EXPECT_EQ(entry.targets,
            (std::vector<TargetScheme>{{"a", {4, 128, true}}, {"b", {8, 0, false}}}));
  EXPECT_TRUE(entry.ignore.empty());
}

TEST(CompressedTensorsEntry, RefusesWhatItCannotMean) {
  const std::string good = compressed_tensors_text(mixed_entry());
  const auto expect_refused = [&](const std::string& from, const std::string& to,
                                  const std::string& field, const std::string& reason) {
    SCOPED_TRACE(to);
    tests::expect_refusal([&] { read(replaced(good, from, to)); }, ExitCode::bad_data,
                          {"config.json", field, reason});
  };
  const std::string group = "config_groups.w3g64s";
  expect_refused("compressed-tensors", "gptq", "quant_method", "\"gptq\"");
  expect_refused("\"format\": \"pack-quantized\"", "\"format\": \"int-quantized\"", "format",
                 "pack-quantized");
  expect_refused("\"compressed\"", "\"frozen\"", "quantization_status", "\"frozen\"");
  expect_refused("\"kv_cache_scheme\": null", "\"kv_cache_scheme\": {}", "kv_cache_scheme",
                 "not supported");
  expect_refused("\"input_activations\": null", "\"input_activations\": {\"num_bits\": 8}",
                 group + ".input_activations", "not supported");
  expect_refused("\"num_bits\": 3", "\"num_bits\": 9", group + ".weights.num_bits", "[1, 8]");
  expect_refused("\"num_bits\": 3", "\"num_bits\": 3.0", group + ".weights.num_bits", "integer");
  expect_refused("\"type\": \"int\"", "\"type\": \"float\"", group + ".weights.type", "float");
  expect_refused("\"strategy\": \"group\"", "\"strategy\": \"tensor\"", group + ".weights.strategy",
                 "\"tensor\"");
  expect_refused("\"group_size\": 64", "\"group_size\": 0", group + ".weights.group_size", "0");
  expect_refused("\"group_size\": 64", "\"group_size\": null", group + ".weights.group_size",
                 "integer");
  expect_refused("\"dynamic\": false", "\"dynamic\": true", group + ".weights.dynamic", "false");
  expect_refused("\"actorder\": null", "\"actorder\": \"group\"", group + ".weights.actorder",
                 "another order");
  expect_refused("\"model.layers.0.self_attn.q_proj\"", "\"Linear\"", group + ".targets[0]",
                 "class of modules");
  expect_refused("\"model.layers.0.self_attn.k_proj\"", "\"model.layers.0.self_attn.q_proj\"",
                 group + ".targets[1]", "given twice");
  expect_refused("\"lm_head\"", "7", "ignore[0]", "string");
}

TEST(SchemeLookup, NamesGoBeforePatterns) {
  CompressedTensorsEntry entry = mixed_entry();
  entry.targets.push_back({"re:.*self_attn\\.(q|k)_proj$", {2, 32, true}});
  const SchemeLookup lookup(entry, "config.json");
  EXPECT_EQ(lookup.find("model.layers.0.self_attn.q_proj"), (PackQuantizedScheme{3, 64, true}));
  EXPECT_EQ(lookup.find("model.layers.9.self_attn.q_proj"), (PackQuantizedScheme{2, 32, true}));
  EXPECT_EQ(lookup.find("model.layers.9.self_attn.q_proj_2"), std::nullopt);
  EXPECT_EQ(lookup.find("model.layers.1.mlp.experts.7.up_proj"),
            (PackQuantizedScheme{4, 128, false}));
  EXPECT_EQ(lookup.find("model.layers.11.mlp.experts.7.up_proj"), std::nullopt);
  EXPECT_EQ(lookup.find("mtp.model.layers.1.mlp.experts.7.up_proj"), std::nullopt);
  EXPECT_EQ(lookup.find("lm_head"), std::nullopt);
}

TEST(SchemeLookup, IgnoredModulesHaveNone) {
  CompressedTensorsEntry entry;
  entry.targets = {{"re:.*", {4, 32, true}}, {"a.gate", {4, 32, true}}};
  entry.ignore = {"a.gate", "re:.*\\.router"};
  const SchemeLookup lookup(entry, "config.json");
  EXPECT_EQ(lookup.find("a.gate"), std::nullopt);
  EXPECT_EQ(lookup.find("a.router.x"), std::nullopt);
  EXPECT_TRUE(lookup.find("a.gate_proj").has_value());
}

TEST(SchemeLookup, PatternsThatDisagreeAreRefused) {
  CompressedTensorsEntry entry;
  entry.targets = {{"re:a.*", {4, 32, true}}, {"re:.*b", {5, 32, true}}, {"re:.*c", {4, 32, true}}};
  const SchemeLookup lookup(entry, "config.json");
  EXPECT_TRUE(lookup.find("ac").has_value());
  tests::expect_refusal([&] { lookup.find("ab"); }, ExitCode::bad_data,
                        {"config.json", "\"ab\"", "w4g32s and w5g32s"});
}

TEST(ModulePattern, BelowAPrefixIsLiteral) {
  EXPECT_EQ(pattern_below("model.layers.3.mlp.experts"),
            "re:^model\\.layers\\.3\\.mlp\\.experts\\..*");
  const ModulePattern pattern(pattern_below("a.b").substr(3), "x");
  EXPECT_TRUE(pattern.matches("a.b.c"));
  EXPECT_FALSE(pattern.matches("a.b"));
  EXPECT_FALSE(pattern.matches("axb.c"));
  EXPECT_FALSE(pattern.matches("z.a.b.c"));
}

TEST(ModulePattern, MatchesFromTheBeginningOn) {
  EXPECT_TRUE(ModulePattern("model", "x").matches("model.norm"));
  EXPECT_FALSE(ModulePattern("norm", "x").matches("model.norm"));
  EXPECT_TRUE(ModulePattern("(?!.*experts).*_proj", "x").matches("a.q_proj"));
  EXPECT_FALSE(ModulePattern("(?!.*experts).*_proj", "x").matches("a.experts.q_proj"));
}

// Patterns come with models: what is wrong or would take for ever is refused.
TEST(ModulePattern, HostilePatternsAreRefused) {
  const auto expect_refused = [](const std::string& text, const std::string& module) {
    SCOPED_TRACE(text.substr(0, 40));
    tests::expect_refusal([&] { ModulePattern(text, "config.json: targets").matches(module); },
                          ExitCode::bad_data, {"config.json: targets"});
  };
  expect_refused("", "a");
  expect_refused("(", "a");
  expect_refused("*", "a");
  expect_refused("\\", "a");
  expect_refused("(*UTF)a", "a");
  expect_refused("\\Ca", "a");
  expect_refused("\xff", "a");
  expect_refused(std::string(1025, 'a'), "a");
  expect_refused(std::string(200, '(') + std::string(200, ')'), "a");
  expect_refused("(?:a|aa)+$", std::string(200, 'a') + '!');
  expect_refused("((((a{1,99}){1,99}){1,99}){1,99}){1,99}", "a");
}

}  // namespace
}  // namespace shardquant::compressed_tensors
