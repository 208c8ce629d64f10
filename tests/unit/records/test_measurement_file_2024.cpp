#include "pipeline/records/measurement_file_2024.hpp"

#include <gtest/gtest.h>

#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/json_text.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::records {
namespace {

using tests::expect_refusal;

const std::string kSmall = R"({
    "measurement": {
        "model.layers.0.self_attn": [
            {"accuracy": 0.9, "total_bits": 1000, "q_proj":
               {"group_size": {"3": 64, "2": 32}, "bits": [3, 2], "bits_prop": [0.05, 0.95], "scale_bits": 4}},
            {"accuracy": 0.99, "total_bits": 2000, "q_proj":
               {"group_size": {"8": 128}, "bits": [8], "bits_prop": [1], "scale_bits": 4}}
        ],
        "model.norm.norm": null
    },
    "last_module_idx": 4
})";

void refuses(const std::string& from, const std::string& to,
             std::initializer_list<std::string> parts) {
  std::string text = kSmall;
  const std::size_t place = text.find(from);
  ASSERT_NE(place, std::string::npos) << from;
  text.replace(place, from.size(), to);
  expect_refusal([&] { parse_measurement_2024(text, "m.json"); }, ExitCode::bad_data, parts);
}

TEST(MeasurementFile2024, ReadsModulesAndTheirRecipes) {
  const Measurement2024 measurement = parse_measurement_2024(kSmall, "m.json");
  ASSERT_EQ(measurement.modules.size(), 2u);
  const ModuleMeasurement& module = measurement.modules[0];
  EXPECT_EQ(module.key, "model.layers.0.self_attn");
  ASSERT_EQ(module.options.size(), 2u);
  EXPECT_EQ(module.options[0].total_bits, 1000);
  EXPECT_EQ(module.options[0].desc(), "q_proj 0.05:3b_64g/0.95:2b_32g s4");
  EXPECT_EQ(module.options[1].desc(), "q_proj 1:8b_128g s4");
  EXPECT_TRUE(measurement.modules[1].options.empty());
}

TEST(MeasurementFile2024, WritesTheStrategyOfTheMeasuredModules) {
  Measurement2024 measurement = parse_measurement_2024(kSmall, "m.json");
  measurement.strategy = std::vector<int>{1, 0};
  const formats::JsonText json =
      formats::JsonText::parse(measurement_2024_text(measurement), "written");
  const formats::JsonNode strategy = json.root().at("strategy");
  EXPECT_EQ(strategy.size(), 1);
  EXPECT_EQ(strategy.at("model.layers.0.self_attn").at("q_proj").at("bits").at(0).as_integer(0, 99),
            8);
  EXPECT_TRUE(json.root().at("measurement").at("model.norm.norm").is_null());
}

TEST(MeasurementFile2024, ReproducesTheFilesOfExLlamaV2) {
  for (const char* name : {"mixtral-8x7b-instruct.2024.json", "silicon-maid-7b.2024.json"}) {
    const std::string path = std::string("data/measurements/") + name;
    SKIP_WITHOUT_SHARED(path);
    std::string text = formats::read_text_file(tests::shared_path(path), 1 << 30);
    const std::string written = measurement_2024_text(parse_measurement_2024(text, name));
    std::erase(text, '\r');  // one of them was saved with line ends of another system
    while (text.ends_with('\n')) text.pop_back();
    // No EXPECT_EQ: it would look for the smallest difference of two long texts.
    EXPECT_TRUE(written == text) << name;
  }
}

TEST(MeasurementFile2024, RefusesNamingModuleOptionAndField) {
  const std::string option = "measurement.\"model.layers.0.self_attn\"[0]";
  refuses("0.9,", "1.5,", {option + ".accuracy", "1.5"});
  refuses("0.9,", "-0.5,", {option + ".accuracy", "-0.5"});
  refuses("0.9,", "NaN,", {"model.layers.0.self_attn[0].accuracy: NaN"});
  refuses("1000", "0", {option + ".total_bits"});
  refuses("1000", "1000.5", {option + ".total_bits"});
  refuses("\"total_bits\": 1000,", "", {option, "\"total_bits\" is missing"});
  refuses("\"total_bits\": 1000", "\"total_bits\": 1000, \"total_bits\": 5", {"given twice"});
  refuses("\"2\": 32", "\"4\": 32", {option + ".q_proj.group_size", "\"2\" is missing"});
  refuses("[3, 2]", "[3, -2]", {option + ".q_proj.bits[1]"});
  refuses("[0.05, 0.95]", "[0.05]", {option + ".q_proj.bits_prop"});
  refuses("2000, \"q_proj\"", "2000, \"k_proj\"",
          {"measurement.\"model.layers.0.self_attn\"[1]", "other projections"});
  refuses("null", "[]", {"measurement.\"model.norm.norm\"", "list of options"});
  refuses("\"last_module_idx\": 4", "\"last_module_idx\": -4", {"last_module_idx"});
}

TEST(MeasurementFile2024, TellsTheSchemasApart) {
  EXPECT_TRUE(std::holds_alternative<Measurement2024>(parse_measurement(kSmall, "m.json")));
  expect_refusal([] { parse_measurement(R"({"measurement": 5})", "m.json"); }, ExitCode::bad_data,
                 {"measurement"});
  expect_refusal([] { parse_measurement("[]", "m.json"); }, ExitCode::bad_data, {"m.json"});
  expect_refusal([] { parse_measurement_2024(R"({"measurement": []})", "m.json"); },
                 ExitCode::bad_data, {"2023 schema"});
}

}  // namespace
}  // namespace shardquant::records
