#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/formats/json_text.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::exl2 {
namespace {

using ::testing::HasSubstr;
using tests::outcome_of;

const weights::QuantizationEntry kEntry = {4.0, 6, 64, 256, "tokens.i32", {}};

TEST(RewriteConfig, KeepsKeysAndValuesInOrder) {
  EXPECT_EQ(rewrite_config(
                R"({"z": 1e-05, "torch_dtype": "bfloat16", "a": [1, null, 10000.0], "n": "é"})",
                "config.json", kEntry),
            R"({
  "z": 1e-05,
  "torch_dtype": "float16",
  "a": [
    1,
    null,
    10000.0
  ],
  "n": "é",
  "quantization_config": {
    "quant_method": "exl2",
    "version": "0.3.2",
    "bits": 4.0,
    "head_bits": 6,
    "calibration": {
      "rows": 64,
      "length": 256,
      "dataset": "tokens.i32"
    }
  }
}
)");
}

TEST(RewriteConfig, AddsTorchDtypeAndFollowsTheNewerKey) {
  const formats::JsonText text = formats::JsonText::parse(
      rewrite_config(R"({"dtype": "bfloat16"})", "config.json", kEntry), "out");
  EXPECT_EQ(text.root().string("dtype"), "float16");
  EXPECT_EQ(text.root().string("torch_dtype"), "float16");
}

TEST(RewriteConfig, FormerQuantizationIsKeptInside) {
  const formats::JsonText text = formats::JsonText::parse(
      rewrite_config(R"({"quantization_config": {"quant_method": "fp8"}, "b": 1})", "c", kEntry),
      "out");
  const formats::JsonNode root = text.root();
  EXPECT_EQ(root.member_name(root.size() - 1), "quantization_config");
  const formats::JsonNode entry = root.at("quantization_config");
  EXPECT_EQ(entry.string("quant_method"), "exl2");
  EXPECT_EQ(entry.at("original_quantization_config").string("quant_method"), "fp8");
}

TEST(RewriteConfig, RefusesWhatIsNoObject) {
  EXPECT_THAT(outcome_of([] { rewrite_config("[]", "config.json", kEntry); }).text,
              HasSubstr("config.json"));
  EXPECT_EQ(outcome_of([] { rewrite_config("{", "config.json", kEntry); }).code,
            ExitCode::bad_data);
}

}  // namespace
}  // namespace shardquant::exl2
