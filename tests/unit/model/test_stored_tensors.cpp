#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "pipeline/failure.hpp"
#include "pipeline/model/source_model.hpp"
#include "pipeline/model/tied_head.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/model/edit_model.hpp"

namespace shardquant::model {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::edit;
using tests::HeadStorage;
using tests::MakeModelOptions;
using tests::named;
using tests::StoredTensor;

std::string refusal(const fs::path& folder) {
  try {
    const SourceModel model(folder);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    return failure.what();
  }
  return "";
}

// What a folder holds its tensors tell.
class StoredTensors : public ::testing::Test {
 protected:
  fs::path make(const MakeModelOptions& options = {}) {
    const fs::path folder = temp_.path() / std::to_string(made_++);
    tests::make_model(folder, options);
    return folder;
  }

 private:
  tests::TempDirectory temp_;
  int made_ = 0;
};

TEST_F(StoredTensors, NamesWithoutTheModelsPrefixAreKnownByTheWholeOnes) {
  MakeModelOptions options;
  options.head = HeadStorage::tied;
  const fs::path folder = make(options);
  edit(folder, [](std::vector<StoredTensor>& tensors) {
    for (StoredTensor& tensor : tensors) tensor.spec.name.erase(0, std::string("model.").size());
  });
  const SourceModel model(folder);
  EXPECT_EQ(model.tensors.weight_name(0), "model.layers.0.self_attn.q_proj.weight");
  std::vector<float> values(8);
  read_floats(model.folder, "model.norm.weight", 0, values);
  EXPECT_EQ(model.folder.file_of("model.norm.weight").name(),
            (folder / "model.safetensors").string());

  auto config = nlohmann::ordered_json::parse(std::ifstream(folder / "config.json"));
  config["tie_word_embeddings"] = false;
  formats::write_file(folder / "config.json", config.dump(), formats::Overwrite::yes);
  EXPECT_THAT(refusal(folder), HasSubstr("a model without a head predicts nothing"));
}

TEST_F(StoredTensors, ALeftoverQuantizationConfigDoesNotMakeWeightsQuantized) {
  const fs::path folder = make();
  auto config = nlohmann::ordered_json::parse(std::ifstream(folder / "config.json"));
  for (const char* method : {"gptq", "bitsandbytes", "exl2"}) {
    config["quantization_config"] = {{"quant_method", method}};
    formats::write_file(folder / "config.json", config.dump(), formats::Overwrite::yes);
    EXPECT_FALSE(SourceModel(folder).tensors.has_quantized()) << method;
  }
  config["quantization_config"] = {{"quant_method", "gptq"}};
  formats::write_file(folder / "config.json", config.dump(), formats::Overwrite::yes);
  edit(folder, [](std::vector<StoredTensor>& tensors) {
    named(tensors, "model.layers.0.mlp.up_proj.weight").spec.name =
        "model.layers.0.mlp.up_proj.qweight";
  });
  EXPECT_THAT(refusal(folder), HasSubstr("weights quantized with \"gptq\""));
}

TEST_F(StoredTensors, WhatIsMissingIsNotTheArchitecturesFault) {
  const fs::path folder = make();
  edit(folder, [](std::vector<StoredTensor>& tensors) { tensors.pop_back(); });
  EXPECT_THAT(refusal(folder), HasSubstr("was the download cut short?"));
  edit(folder, [](std::vector<StoredTensor>& tensors) {
    for (StoredTensor& tensor : tensors) tensor.spec.name += ".x";
  });
  EXPECT_THAT(refusal(folder), HasSubstr("is it the right one?"));
}

TEST_F(StoredTensors, AStoredHeadCountsBesideTiedEmbeddings) {
  const fs::path folder = make();
  auto config = nlohmann::ordered_json::parse(std::ifstream(folder / "config.json"));
  config["tie_word_embeddings"] = true;
  formats::write_file(folder / "config.json", config.dump(), formats::Overwrite::yes);
  {
    const SourceModel model(folder);
    EXPECT_EQ(model.tensors.weight_name(std::ssize(model.layout.linear_layers) - 1),
              "lm_head.weight");
    EXPECT_FALSE(model.description.tie_word_embeddings);
    EXPECT_THAT(tied_head_warning(model),
                AllOf(HasSubstr("lm_head.weight is stored and differs from "
                                "model.embed_tokens.weight"),
                      HasSubstr("the stored head is used")));
  }
  edit(folder, [](std::vector<StoredTensor>& tensors) {
    named(tensors, "lm_head.weight").bytes = named(tensors, "model.embed_tokens.weight").bytes;
  });
  EXPECT_EQ(tied_head_warning(SourceModel(folder)), "");
  config["tie_word_embeddings"] = false;
  formats::write_file(folder / "config.json", config.dump(), formats::Overwrite::yes);
  EXPECT_EQ(tied_head_warning(SourceModel(folder)), "");
}

}  // namespace
}  // namespace shardquant::model
