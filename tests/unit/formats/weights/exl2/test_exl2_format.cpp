// The row of the table through the interface alone, as the pipeline uses it.
#include "pipeline/formats/weights/exl2/exl2_format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "kernels/api/half_types.hpp"
#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/weights/weight_formats.hpp"
#include "tests/oracle/exl2_weight.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/formats/safetensors_bytes.hpp"

namespace shardquant::weights {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tests::outcome_of;

const WeightFormat& format() {
  return *find_weight_format("exl2");
}

LayerShape layer_of(std::int64_t inputs, std::int64_t outputs, bool has_bias = false) {
  return {"model.layers.0.mlp.up_proj", inputs, outputs, has_bias, formats::Dtype::bf16};
}

std::int64_t bytes_of(const std::vector<formats::TensorSpec>& tensors) {
  std::int64_t bytes = 0;
  for (const auto& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

// What a sweep would give: codes and scales counted up, values by the oracle.
kernels::QuantizedMatrix counted_matrix(const kernels::WeightRecipe& recipe,
                                        const LayerShape& layer) {
  kernels::QuantizedMatrix matrix;
  matrix.groups = std::get<std::vector<kernels::RowGroup>>(recipe);
  const std::int64_t columns = layer.outputs;
  for (std::size_t g = 0; g < matrix.groups.size(); ++g) {
    const kernels::RowGroup& group = matrix.groups[g];
    matrix.scale_max.push_back(static_cast<std::uint16_t>(0x2000 + 37 * g));
    for (std::int64_t n = 0; n < columns; ++n) {
      matrix.scale_codes.push_back(
          static_cast<std::uint8_t>((g + static_cast<std::size_t>(n)) % 16));
    }
    for (std::int64_t row = group.first_row; row < group.first_row + group.rows; ++row) {
      for (std::int64_t n = 0; n < columns; ++n) {
        const auto code = static_cast<int>((row * 7 + n * 3) & ((1 << group.bits) - 1));
        const double value = oracle::exl2_weight(
            code, group.bits, matrix.scale_codes[g * static_cast<std::size_t>(columns) + n],
            kernels::to_float(kernels::Half{matrix.scale_max[g]}));
        matrix.codes.push_back(static_cast<std::uint8_t>(code));
        matrix.values.push_back(kernels::to_half(static_cast<float>(value)).bits);
      }
    }
  }
  return matrix;
}

TEST(Exl2Format, IsInTheTableUnderItsName) {
  EXPECT_EQ(&format(), &exl2::exl2_format());
  EXPECT_THAT(weight_format_names(), testing::Contains("exl2"));
  EXPECT_EQ(find_weight_format("EXL2"), nullptr);
}

TEST(Exl2Format, TextsNameMeasuredOptionsOnce) {
  std::set<std::string> texts;
  ASSERT_EQ(format().option_count(), 24);
  for (std::int64_t option = 0; option < format().option_count(); ++option) {
    const std::string text = format().option_text(option);
    EXPECT_TRUE(texts.insert(text).second) << text;
    EXPECT_EQ(option_of_text(format(), text), option);
  }
  EXPECT_EQ(option_of_text(format(), "1.0:7b 32g s4"), std::nullopt);
  EXPECT_EQ(format().option_recipe(2), (records::QParams{32, {4, 2}, {0.25, 0.75}, 4}));
}

TEST(Exl2Format, FewInputsHaveFewerOptionsAndAnyHaveTheHeads) {
  EXPECT_EQ(existing_options(format(), layer_of(4096, 64)).size(), 24u);
  const auto few = existing_options(format(), layer_of(128, 64));
  EXPECT_LT(few.size(), 24u);
  EXPECT_TRUE(std::is_sorted(few.begin(), few.end()));
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    const auto head = head_option(format(), bits);
    ASSERT_TRUE(head);
    EXPECT_GE(*head, format().option_count()) << "a head's option is none of those measured";
    EXPECT_TRUE(format().recipe(*head, layer_of(64, 80)));
  }
  EXPECT_EQ(head_option(format(), 16), std::nullopt);
  const auto refused = outcome_of([] { head_option(format(), 7); });
  EXPECT_EQ(refused.code, ExitCode::config);
  EXPECT_THAT(refused.text, HasSubstr("7 is none of 2, 3, 4, 5, 6, 8, 16"));
}

TEST(Exl2Format, SaysWhatItCannotStoreAndWhoReadsIt) {
  EXPECT_THAT(format().layer_fault(layer_of(4096, 33)), IsEmpty());
  EXPECT_THAT(format().layer_fault(layer_of(172, 64)), HasSubstr("172 inputs"));
  EXPECT_THAT(format().layer_fault(layer_of(65568, 64)), HasSubstr("65536"));
  EXPECT_THAT(format().family_fault("Qwen3ForCausalLM"), IsEmpty());
  EXPECT_THAT(format().family_fault("GPTJForCausalLM"), HasSubstr("GPTJForCausalLM"));
  LayerShape down = layer_of(64, 64);
  EXPECT_FALSE(format().keeps_input_order(down));
  down.follows_biased = true;
  EXPECT_TRUE(format().keeps_input_order(down));
  const std::vector<std::vector<std::int64_t>> sets = {{0, 1, 2}};
  EXPECT_THAT(format().ties(sets), IsEmpty()) << "options are free layer by layer";
  EXPECT_EQ(format().plain_dtype(formats::Dtype::bf16), formats::Dtype::f16);
}

TEST(Exl2Format, BitsAreThoseOfTheTensors) {
  for (const std::int64_t option : existing_options(format(), layer_of(512, 96))) {
    const LayerShape layer = layer_of(512, 96);
    EXPECT_EQ(format().stored_bits(option, layer), 8 * bytes_of(format().tensors(option, layer)));
    EXPECT_EQ(format().stored_bits(option, layer), format().counted_bits(option, layer) + 32 * 512)
        << "the budget does not count the permutation";
    EXPECT_EQ(bytes_of(format().tensors(option, layer_of(512, 96, true))),
              bytes_of(format().tensors(option, layer)) + 2 * 96)
        << "the bias is not counted";
  }
}

TEST(Exl2Format, WhatIsPackedDecodesAndReadsBackToTheMeasuredValues) {
  const tests::TempDirectory folder;
  for (const std::int64_t option : {std::int64_t{3}, std::int64_t{17}, *head_option(format(), 6)}) {
    const LayerShape layer = layer_of(256, 70, true);
    const auto matrix = counted_matrix(*format().recipe(option, layer), layer);
    std::vector<std::int32_t> perm(256);
    for (std::int32_t k = 0; k < 256; ++k) perm[k] = k * 77 % 256;
    const std::vector<std::uint16_t> bias(70, 0x3c00);
    const auto packed =
        format().pack(option, layer, {matrix, perm, std::as_bytes(std::span(bias))});

    const auto specs = format().tensors(option, layer);
    const auto bytes = packed->tensor_bytes();
    ASSERT_EQ(bytes.size(), specs.size());
    const formats::SafetensorsLayout place = formats::lay_out_safetensors(specs);
    std::string file(static_cast<std::size_t>(place.file_bytes), '\0');
    place.header.copy(file.data(), place.header.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      ASSERT_EQ(std::ssize(bytes[i]), specs[i].bytes());
      std::copy_n(reinterpret_cast<const char*>(bytes[i].data()), bytes[i].size(),
                  file.data() + place.offsets[i]);
    }
    tests::write_bytes(folder.path() / "model.safetensors", file);
    const formats::SafetensorsFolder opened(folder.path());
    EXPECT_TRUE(format().holds(opened, layer.key));
    for (const std::string& name : opened.names()) {
      EXPECT_THAT(format().tensor_names(layer.key), testing::Contains(name));
    }
    const auto read = format().read(opened, layer);
    EXPECT_EQ(format().summarize(opened, layer).bits, format().stored_bits(option, layer));
    for (const auto* stored : {packed.get(), read.get()}) {
      EXPECT_EQ(stored->stored_bits(), format().stored_bits(option, layer));
      ASSERT_EQ(stored->value_type(), kernels::ElementType::f16);
      std::vector<std::uint16_t> decoded(33 * 256);
      stored->decode_outputs(30, 33, std::as_writable_bytes(std::span(decoded)));
      for (std::int64_t n = 0; n < 33; ++n) {
        for (std::int64_t k = 0; k < 256; ++k) {
          const float got = kernels::to_float(kernels::Half{decoded[n * 256 + perm[k]]});
          const std::uint16_t want = matrix.values[k * 70 + 30 + n];
          ASSERT_EQ(got, kernels::to_float(kernels::Half{want})) << option << ' ' << k << ' ' << n;
        }
      }
    }
    EXPECT_EQ(outcome_of([&] {
                format().pack(12, layer, {matrix, perm, {}});
              }).code,
              ExitCode::internal)
        << "groups of another option";
  }
}

}  // namespace
}  // namespace shardquant::weights
