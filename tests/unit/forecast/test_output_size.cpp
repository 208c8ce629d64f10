#include "pipeline/forecast/output_size.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/failure.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::forecast {
namespace {

class OutputSizeTest : public ::testing::Test {
 protected:
  OutputSizeTest() {
    tests::MakeModelOptions options;
    options.family = "qwen2";
    options.hidden = 256;
    options.layers = 2;
    tests::make_model(folder_.path(), options);
    layout_ = model::lay_out_model(
        model::read_model_description(formats::ModelDirectory(folder_.path())));
    for (std::int64_t l = 0; l < layout_.block_layers(); ++l) {
      const auto shape = model::shape_of(layout_.linear_layers[static_cast<std::size_t>(l)]);
      auto& layer = measurement_.layers.emplace_back();
      layer.key = shape.key;
      layer.numel = shape.parameters();
      for (const std::int64_t option : weights::existing_options(format_, shape)) {
        layer.options.push_back(records::measured_option(
            format_.option_text(option), format_.counted_bits(option, shape), layer.numel, 0.1,
            format_.option_recipe(option)));
      }
    }
  }

  tests::TempDirectory folder_;
  const weights::WeightFormat& format_ = exl2::exl2_format();
  model::ModelLayout layout_;
  records::Measurement measurement_;
};

TEST_F(OutputSizeTest, LayersWeighWhatTheirTensorsDoAndTheBiasOnTop) {
  const OutputSize size(folder_.path(), format_, 6, 8192);
  const allocation::FolderSize by_layer = size.by_layer(measurement_);
  ASSERT_EQ(by_layer.layer_bytes.size(), measurement_.layers.size());
  for (std::size_t l = 0; l < measurement_.layers.size(); ++l) {
    const auto shape = model::shape_of(layout_.linear_layers[l]);
    const auto options = weights::existing_options(format_, shape);
    ASSERT_EQ(by_layer.layer_bytes[l].size(), options.size());
    for (std::size_t i = 0; i < options.size(); ++i) {
      const std::int64_t bias = shape.has_bias ? 2 * shape.outputs : 0;
      EXPECT_EQ(by_layer.layer_bytes[l][i], format_.stored_bits(options[i], shape) / 8 + bias);
    }
  }
}

TEST_F(OutputSizeTest, AHeadOfMoreBitsIsLarger) {
  std::int64_t before = 0;
  for (const int bits : {2, 4, 6, 8, 16}) {
    const std::int64_t bytes =
        OutputSize(folder_.path(), format_, bits, 8192).by_layer(measurement_).fixed_bytes;
    EXPECT_GT(bytes, before) << bits;
    before = bytes;
  }
}

TEST_F(OutputSizeTest, RefusesAnOptionOfAnotherFormat) {
  measurement_.layers[3].options[1].desc = "8 bits";
  const OutputSize size(folder_.path(), format_, 6, 8192);
  try {
    size.by_layer(measurement_);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    EXPECT_THAT(failure.what(), testing::AllOf(testing::HasSubstr(measurement_.layers[3].key),
                                               testing::HasSubstr("8 bits is none of")));
  }
}

}  // namespace
}  // namespace shardquant::forecast
