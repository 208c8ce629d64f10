#include <gtest/gtest.h>

#include <set>

#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/output/output_files.hpp"
#include "pipeline/output/output_layout.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::output {
namespace {

TEST(OutputLayout, PlacesDoNotOverlapAndBitsAgreeWithTheFormula) {
  const tests::TempDirectory folder;
  tests::MakeModelOptions options;
  options.family = "qwen2";
  tests::make_model(folder.path() / "model", options);
  const model::SourceModel model(folder.path() / "model");
  LayerOptions choices;
  for (std::int64_t i = 0; i < model.layout.block_layers(); ++i) choices.push_back(i % 2 ? 7 : 12);
  choices.push_back(std::nullopt);  // the head stays fp16

  const weights::WeightFormat& format = exl2::exl2_format();
  const OutputLayout layout = lay_out_output(model.layout, format, choices, 8192);
  std::set<std::string> names;
  for (const auto& tensor : layout.tensors) EXPECT_TRUE(names.insert(tensor.name).second);
  EXPECT_TRUE(names.contains("lm_head.weight"));
  EXPECT_TRUE(names.contains("model.layers.0.self_attn.q_proj.q_weight"));
  EXPECT_TRUE(names.contains("model.layers.0.self_attn.q_proj.bias"));
  EXPECT_FALSE(names.contains("model.layers.0.self_attn.q_proj.weight"));

  std::int64_t layer_bytes = 0;
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const std::string& name = layout.tensors[i].name;
    const bool quantized =
        name.substr(name.rfind('.')).starts_with(".q_");  // biases are not counted
    if (quantized) layer_bytes += layout.plan.places[i].bytes;
  }
  EXPECT_EQ(stored_layer_bits(model.layout, format, layout.options), layer_bytes * 8);
}

TEST(OutputFiles, WhatRanksWriteInPlaceIsThereUnderItsNameAfterPublishing) {
  const tests::TempDirectory folder;
  tests::make_model(folder.path() / "model", {});
  const model::SourceModel model(folder.path() / "model");
  const OutputLayout layout = lay_out_output(
      model.layout, exl2::exl2_format(), LayerOptions(model.layout.linear_layers.size(), 12), 8192);
  const auto target = folder.path() / "out";
  std::filesystem::create_directories(target);
  OutputFiles::create(target, layout, true);
  {
    const OutputFiles files(target, layout);
    const std::vector<std::byte> bytes(static_cast<std::size_t>(layout.plan.places[5].bytes),
                                       std::byte{7});
    files.write(5, 0, bytes);
    files.sync();
    OutputFiles::create(target, layout, true);  // as an interrupted run's successor does
    EXPECT_EQ(OutputFiles(target, layout).read(5), bytes);
  }
  for (const auto& entry : std::filesystem::directory_iterator(target)) {
    EXPECT_NE(entry.path().extension(), ".safetensors");
  }
  OutputFiles::publish(target, layout, formats::Overwrite::no);
  const formats::SafetensorsFolder published(target);
  EXPECT_EQ(published.names().size(), layout.tensors.size());
  EXPECT_EQ(published.read_all(layout.tensors[5].name)[0], std::byte{7});
}

}  // namespace
}  // namespace shardquant::output
