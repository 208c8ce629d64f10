#include "pipeline/records/measurement_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/exl2/quant_option.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/expect_refusal.hpp"

namespace shardquant::records {
namespace {

using testing::HasSubstr;
using tests::expect_refusal;

constexpr const char* kShared = "data/measurements/llama2-70b.2023.json";

std::string without_spaces(const std::string& text) {
  std::string result;
  bool in_space = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n';
    if (space && !in_space) result += ' ';
    if (!space) result += c;
    in_space = space;
  }
  return result;
}

Measurement small_measurement() {
  Measurement measurement;
  for (const char* key : {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"}) {
    LayerMeasurement& layer = measurement.layers.emplace_back();
    layer.key = key;
    layer.numel = 4096;
    layer.options = {
        measured_option("0.05:3b/0.95:2b 32g s4", 9000, 4096, 0.25, {32, {3, 2}, {0.05, 0.95}, 4}),
        measured_option("1.0:8b 32g s4", 33000, 4096, 0.001953125, {32, {8}, {1.0}, 4})};
  }
  measurement.last_module_idx = 4;
  measurement.base_perplexity = 5.5;
  return measurement;
}

// The text of small_measurement with `from`, which must occur, replaced once by `to`.
std::string broken(const std::string& from, const std::string& to) {
  std::string text = measurement_2023_text(small_measurement());
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

void refuses(const std::string& text, std::initializer_list<std::string> parts) {
  expect_refusal([&] { parse_measurement_2023(text, "m.json"); }, ExitCode::bad_data, parts);
}

TEST(MeasurementFile, ReadsBackWhatItWrites) {
  Measurement measurement = small_measurement();
  measurement.layers[0].best_option_max = 1;
  measurement.layers[0].best_option = 0;
  measurement.extra = {{"err_norm", "\"pooled\""}, {"more", "{\"a\": [1, 2.5, null, true]}"}};
  const tests::TempDirectory folder;
  const auto file = folder.path() / "measurement.json";
  write_measurement_2023(file, measurement, formats::Overwrite::no);
  EXPECT_EQ(read_measurement_2023(file), measurement);
  EXPECT_THROW(write_measurement_2023(file, measurement, formats::Overwrite::no), Failure);
  EXPECT_NO_THROW(write_measurement_2023(file, measurement, formats::Overwrite::yes));
}

TEST(MeasurementFile, CountsBitsAsTheFileDoes) {
  // 1 / 3 of a bit: the product of the rounded quotient with numel misses the integer.
  const MeasuredOption option = measured_option("x", 187170816, 187170816 / 3 + 1, 0.1, {});
  EXPECT_EQ(option.bpw, 187170816.0 / (187170816 / 3 + 1));
  EXPECT_EQ(option.bits(), 187170816);
}

TEST(MeasurementFile, ReproducesTheFileOfExLlamaV2) {
  SKIP_WITHOUT_SHARED(kShared);
  const std::string text = formats::read_text_file(tests::shared_path(kShared), 1 << 30);
  const Measurement measurement = parse_measurement_2023(text, kShared);
  EXPECT_EQ(measurement.layers.size(), 560u);
  EXPECT_EQ(measurement.last_module_idx, 162);
  EXPECT_EQ(measurement.base_perplexity, 5.794979500987721);
  // No EXPECT_EQ: it would look for the smallest difference of two long texts.
  EXPECT_TRUE(without_spaces(measurement_2023_text(measurement)) == without_spaces(text));
}

TEST(MeasurementFile, DerivesEveryFigureOfTheFileOfExLlamaV2) {
  SKIP_WITHOUT_SHARED(kShared);
  const Measurement measurement = read_measurement_2023(tests::shared_path(kShared));
  std::int64_t equal = 0;
  for (const LayerMeasurement& layer : measurement.layers) {
    // 8192 inputs everywhere but for down_proj.
    const std::int64_t inputs = layer.key.find("down_proj") == std::string::npos ? 8192 : 28672;
    for (const MeasuredOption& option : layer.options) {
      const exl2::QuantOption recipe{option.qparams.group_size, option.qparams.bits,
                                     option.qparams.bits_prop, option.qparams.scale_bits};
      const std::int64_t bits =
          exl2::measured_bits(exl2::cut_into_groups(recipe, inputs), layer.numel / inputs);
      equal +=
          measured_option(option.desc, bits, layer.numel, option.err, option.qparams) == option;
    }
  }
  EXPECT_EQ(equal, 13440);
}

TEST(MeasurementFile, RefusesAbsurdNumbersNamingLayerOptionAndField) {
  refuses(broken("\"err\": 0.25", "\"err\": NaN"),
          {"m.json", "measurement[0].options[0].err: NaN"});
  refuses(broken("\"err\": 0.25", "\"err\": Infinity"),
          {"measurement[0].options[0].err: Infinity"});
  refuses(broken("\"err\": 0.25", "\"err\": 1.25"),
          {"measurement[0].options[0].err", "1.25", "model.layers.0.self_attn.q_proj"});
  refuses(broken("\"err\": 0.001953125", "\"err\": -0.1"),
          {"measurement[0].options[1].err", "-0.1", "model.layers.0.self_attn.q_proj"});
  refuses(broken("\"total_bits\": 9000.0", "\"total_bits\": 0"),
          {"options[0].total_bits", "model.layers.0.self_attn.q_proj"});
  refuses(broken("\"total_bits\": 9000.0", "\"total_bits\": -9000.0"), {"options[0].total_bits"});
  refuses(broken("\"total_bits\": 9000.0", "\"total_bits\": 9900.0"),
          {"options[0].total_bits", "contradicts bpw"});
  refuses(broken("\"bpw\": 2.197265625", "\"bpw\": 1e300"), {"options[0].bpw"});
  refuses(broken("\"numel\": 4096", "\"numel\": 0"), {"measurement[0].numel"});
  refuses(broken("\"numel\": 4096", "\"numel\": 18446744073709551616"), {"measurement[0].numel"});
  refuses(broken("\"err\": 0.25", "\"err\": \"0.25\""), {"options[0].err", "must be a number"});
  refuses(broken("\"err\": 0.25", "\"err\": null"), {"options[0].err", "must be a number"});
}

TEST(MeasurementFile, RefusesMissingAndDoubleParts) {
  refuses(broken("\"err\": 0.25,", ""), {"measurement[0].options[0]", "\"err\" is missing"});
  refuses(broken("\"err\": 0.25", "\"err\": 0.25, \"err\": 0.1"), {"err", "given twice"});
  refuses(broken("mlp.up_proj", "self_attn.q_proj"), {"measurement[1].key", "measured twice"});
  refuses(broken("\"desc\": \"1.0:8b 32g s4\"", "\"desc\": \"0.05:3b/0.95:2b 32g s4\""),
          {"options[1].desc", "given twice", "model.layers.0.self_attn.q_proj"});
  refuses(R"({"measurement": [], "last_module_idx": 1, "base_perplexity": 1})", {"holds no layer"});
  refuses(R"({"measurement": [{"key": "a", "numel": 5, "options": []}],
              "last_module_idx": 1, "base_perplexity": 1})",
          {"options", "must be a list of options", "\"a\""});
  refuses(R"({"measurement": [{"key": "", "numel": 5, "options": []}],
              "last_module_idx": 1, "base_perplexity": 1})",
          {"measurement[0].key", "must not be empty"});
  refuses(R"({"last_module_idx": 1, "base_perplexity": 1})", {"\"measurement\" is missing"});
  refuses(R"({"measurement": {}})", {"2024 schema"});
  refuses("", {"m.json"});
  refuses("[1, 2", {"m.json"});
}

TEST(MeasurementFile, RefusesMalformedRecipes) {
  refuses(broken("\"group_size\": 32", "\"group_size\": 0"), {"options[0].qparams.group_size"});
  refuses(broken("\"scale_bits\": 4", "\"scale_bits\": 99"), {"options[0].qparams.scale_bits"});
  refuses(broken("0.95\n", "-0.95\n"), {"options[0].qparams.bits_prop[1]"});
  refuses(broken("0.05,", ""), {"options[0].qparams.bits_prop", "one per bit width"});
}

TEST(MeasurementFile, RefusesABestOptionThatIsNone) {
  Measurement measurement = small_measurement();
  measurement.layers[1].best_option = 0;
  std::string text = measurement_2023_text(measurement);
  const std::size_t place = text.rfind("\"err\": 0.25");
  text.replace(place, 11, "\"err\": 0.26");
  refuses(text, {"measurement[1].best_option", "none of the layer's options"});
}

TEST(MeasurementFile, TellsAMissingFileFromABadOne) {
  expect_refusal([] { read_measurement_2023("/nonexistent/m.json"); }, ExitCode::no_input,
                 {"/nonexistent/m.json"});
}

}  // namespace
}  // namespace shardquant::records
