#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "kernels/api/half_types.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/file_handle.hpp"
#include "pipeline/formats/weights/exl2/exl2_format.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"
#include "pipeline/model/model_tensors.hpp"
#include "pipeline/model/require_quantizable.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_directory.hpp"
#include "tests/unit/model/edit_model.hpp"

namespace shardquant::model {
namespace {

namespace fs = std::filesystem;

using formats::Dtype;
using formats::SafetensorsFolder;
using formats::TensorSpec;
using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::edit;
using tests::HeadStorage;
using tests::MakeModelOptions;
using tests::named;
using tests::StoredTensor;

// A model folder with all that refers to it.
struct Opened {
  explicit Opened(const fs::path& path)
      : folder(open_weights(path)),
        description(read_model_description(folder.directory())),
        layout(lay_out_model(description)),
        tensors(description, layout, folder) {}

  SafetensorsFolder folder;
  ModelDescription description;
  ModelLayout layout;
  ModelTensors tensors;
};

std::string refusal(const fs::path& folder) {
  try {
    Opened opened(folder);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::bad_data);
    return failure.what();
  }
  return "";
}

class ModelTensorsTest : public ::testing::Test {
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

TEST_F(ModelTensorsTest, EveryFamilyTypeAndHeadIsFound) {
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    for (const char* dtype : {"F32", "F16", "BF16"}) {
      for (const HeadStorage head :
           {HeadStorage::separate, HeadStorage::tied, HeadStorage::head_only}) {
        MakeModelOptions options;
        options.family = family;
        options.dtype = dtype;
        options.head = head;
        options.shards = 3;
        const Opened model(make(options));
        EXPECT_TRUE(model.folder.warnings().empty());
        const std::string embedding =
            head == HeadStorage::head_only ? "lm_head.weight" : "model.embed_tokens.weight";
        EXPECT_EQ(model.tensors.plain_name(0), embedding);
        EXPECT_EQ(model.tensors.weight_name(std::ssize(model.layout.linear_layers) - 1),
                  head == HeadStorage::tied ? embedding : "lm_head.weight");
        EXPECT_EQ(model.tensors.weight_name(0), "model.layers.0.self_attn.q_proj.weight");
      }
    }
  }
}

TEST_F(ModelTensorsTest, BiasesWhereTheConfigSaysSo) {
  MakeModelOptions options;
  options.biases = true;
  const Opened model(make(options));
  EXPECT_NE(model.folder.find("model.layers.1.mlp.down_proj.bias"), nullptr);
  EXPECT_NE(model.folder.find("model.layers.1.self_attn.o_proj.bias"), nullptr);
}

TEST_F(ModelTensorsTest, MissingOddAndUnexpectedTensorsAreNamed) {
  const fs::path missing = make();
  edit(missing, [](std::vector<StoredTensor>& tensors) {
    std::erase_if(tensors, [](const StoredTensor& tensor) {
      return tensor.spec.name.find("layers.1") != std::string::npos;
    });
  });
  EXPECT_THAT(refusal(missing),
              AllOf(HasSubstr("missing: \"model.layers.1.input_layernorm.weight\""),
                    HasSubstr("and 4 more")));

  const fs::path odd_shape = make();
  edit(odd_shape, [](std::vector<StoredTensor>& tensors) {
    named(tensors, "model.layers.0.mlp.up_proj.weight").spec.shape = {128, 256};
  });
  EXPECT_THAT(refusal(odd_shape),
              HasSubstr("\"model.layers.0.mlp.up_proj.weight\" is F16 [128, 256]"));

  const fs::path odd_type = make();
  edit(odd_type, [](std::vector<StoredTensor>& tensors) {
    named(tensors, "model.norm.weight").spec.dtype = Dtype::i16;
  });
  EXPECT_THAT(refusal(odd_type), HasSubstr("\"model.norm.weight\" is I16 [128]"));

  const fs::path extra = make();
  edit(extra, [](std::vector<StoredTensor>& tensors) {
    StoredTensor tensor = named(tensors, "model.norm.weight");
    tensor.spec.name = "model.layers.0.self_attn.q_proj.bias";
    tensors.push_back(tensor);
  });
  EXPECT_THAT(refusal(extra), HasSubstr("not part of the architecture in config.json: "
                                        "\"model.layers.0.self_attn.q_proj.bias\""));
}

TEST_F(ModelTensorsTest, OldRotaryBuffersAreIgnored) {
  const fs::path folder = make();
  edit(folder, [](std::vector<StoredTensor>& tensors) {
    StoredTensor tensor = named(tensors, "model.norm.weight");
    tensor.spec.name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    tensors.push_back(tensor);
  });
  EXPECT_EQ(refusal(folder), "");
}

TEST_F(ModelTensorsTest, UntiedModelNeedsBothMatrices) {
  const fs::path folder = make();
  edit(folder, [](std::vector<StoredTensor>& tensors) {
    std::erase_if(tensors,
                  [](const StoredTensor& t) { return t.spec.name == "model.embed_tokens.weight"; });
  });
  EXPECT_THAT(refusal(folder), HasSubstr("missing: \"model.embed_tokens.weight\""));
}

// Replaces a linear layer by an EXL2 one of its shape.
void quantize(std::vector<StoredTensor>& tensors, const std::string& key, std::int64_t inputs,
              std::int64_t outputs) {
  std::erase_if(tensors, [&](const StoredTensor& t) { return t.spec.name == key + ".weight"; });
  const std::vector<kernels::RowGroup> groups = {{0, static_cast<int>(inputs), 4}};
  std::vector<std::int32_t> perm(inputs);
  std::iota(perm.begin(), perm.end(), 0);
  kernels::QuantizedMatrix matrix;
  matrix.groups = groups;
  matrix.codes.assign(inputs * outputs, 9);
  matrix.scale_codes.assign(outputs, 3);
  matrix.scale_max = {0x3000};
  const exl2::Exl2Layer layer = exl2::pack_exl2_layer({key, inputs, outputs}, matrix, perm);
  const auto specs = exl2::exl2_tensor_specs(key, inputs, outputs, groups, false);
  const auto bytes = exl2::exl2_tensor_bytes(layer);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    tensors.push_back({specs[i], {bytes[i].begin(), bytes[i].end()}});
  }
}

TEST_F(ModelTensorsTest, QuantizedFolder) {
  MakeModelOptions options;
  options.head = HeadStorage::tied;
  const fs::path folder = make(options);
  auto config = nlohmann::ordered_json::parse(std::ifstream(folder / "config.json"));
  config["quantization_config"] = {{"quant_method", "exl2"}};
  formats::write_file(folder / "config.json", config.dump(), formats::Overwrite::yes);
  const ModelLayout layout = lay_out_model(read_model_description(formats::ModelDirectory(folder)));
  const auto quantize_layer = [&](std::int64_t index) {
    edit(folder, [&](std::vector<StoredTensor>& tensors) {
      const LinearLayer& layer = layout.linear_layers[index];
      quantize(tensors, layer.key, layer.inputs, layer.outputs);
    });
  };
  quantize_layer(0);
  EXPECT_THAT(refusal(folder), HasSubstr("model.layers.0.self_attn.q_proj"));
  for (std::int64_t index = 1; index < 4; ++index) quantize_layer(index);
  quantize_layer(std::ssize(layout.linear_layers) - 1);
  const Opened model(folder);
  EXPECT_TRUE(model.tensors.is_quantized(0));
  EXPECT_FALSE(model.tensors.is_quantized(4));
  EXPECT_EQ(model.tensors.weight_name(4), "model.layers.0.mlp.gate_proj.weight");
  EXPECT_TRUE(model.tensors.is_quantized(14)) << "the quantized head comes before the tied matrix";
  EXPECT_EQ(model.tensors.plain_name(0), "model.embed_tokens.weight");
}

TEST_F(ModelTensorsTest, ReadsEveryFloatType) {
  MakeModelOptions options;
  options.layers = 1;
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  std::vector<std::vector<float>> values;
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    options.dtype = dtype;
    const SafetensorsFolder folder(make(options));
    values.emplace_back(128 * 128);
    read_floats(folder, name, 0, values.back());
    std::vector<float> part(100);
    read_floats(folder, name, 300, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), values.back().begin() + 300));
  }
  for (std::size_t i = 0; i < values[0].size(); ++i) {
    ASSERT_NEAR(values[1][i], values[0][i], 5e-4 * std::abs(values[0][i]) + 1e-7);
    ASSERT_NEAR(values[2][i], values[0][i], 8e-3 * std::abs(values[0][i]));
  }
}

TEST_F(ModelTensorsTest, NanInfinityAndOverflowNameTheirPlace) {
  MakeModelOptions options;
  options.layers = 1;
  options.dtype = "BF16";
  const fs::path folder = make(options);
  const std::string name = "model.norm.weight";
  const auto set = [&](std::int64_t index, std::uint16_t bits) {
    edit(folder, [&](std::vector<StoredTensor>& tensors) {
      std::memcpy(named(tensors, name).bytes.data() + 2 * index, &bits, 2);
    });
  };
  const auto message = [&](auto read) {
    try {
      read(SafetensorsFolder(folder));
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::bad_data);
      return std::string(failure.what());
    }
    return std::string();
  };
  const auto floats = [&](const SafetensorsFolder& opened) {
    std::vector<float> out(128);
    read_floats(opened, name, 0, out);
  };
  const auto halves = [&](const SafetensorsFolder& opened) {
    std::vector<std::uint16_t> out(100);
    read_halves(opened, name, 28, out);
  };
  EXPECT_EQ(message(floats), "");
  EXPECT_EQ(message(halves), "");
  set(40, 0x4780);  // 65536
  EXPECT_EQ(message(floats), "");
  EXPECT_THAT(message(halves),
              AllOf(HasSubstr(name), HasSubstr("1 values are beyond fp16"), HasSubstr("[40]")));
  set(50, 0x7f80);
  set(60, 0x7fc0);
  EXPECT_THAT(message(floats), AllOf(HasSubstr(name), HasSubstr("2 values"), HasSubstr("[50]")));
  EXPECT_THAT(message(halves), HasSubstr("2 values"));
}

TEST(ModelTensorsShared, StoriesModels) {
  SKIP_WITHOUT_SHARED("models/stories260K");
  const Opened tied(tests::shared_path("models/stories260K"));
  EXPECT_EQ(tied.tensors.weight_name(35), "model.embed_tokens.weight");
  EXPECT_THROW(require_quantizable(tied.description, tied.layout, exl2::exl2_format()), Failure);
  const Opened sharded(tests::shared_path("models/stories260K-pad192-sharded"));
  EXPECT_EQ(sharded.tensors.weight_name(35), "lm_head.weight");
  require_quantizable(sharded.description, sharded.layout, exl2::exl2_format());
  const Opened large(tests::shared_path("models/stories3M"));
  EXPECT_EQ(large.layout.linear_layers.size(), 29u);
}

// The generator itself: the bytes depend on the options alone, and the values are sane.
TEST_F(ModelTensorsTest, GeneratorIsDeterministic) {
  MakeModelOptions options;
  options.shards = 2;
  const fs::path first = make(options);
  const fs::path second = make(options);
  options.seed = 2;
  const fs::path other = make(options);
  const std::string shard = "model-00001-of-00002.safetensors";
  const auto bytes = [&](const fs::path& folder) {
    return formats::read_text_file(folder / shard, INT64_MAX);
  };
  EXPECT_EQ(bytes(first), bytes(second));
  EXPECT_NE(bytes(first), bytes(other));
  const SafetensorsFolder folder(first);
  std::vector<float> values(256 * 128);
  read_floats(folder, "model.layers.0.mlp.up_proj.weight", 0, values);
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  const double squares = std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 0.003);
  EXPECT_NEAR(std::sqrt(squares / count), 1.0 / std::sqrt(128.0), 0.001);
}

TEST_F(ModelTensorsTest, GeneratedShardsAreOfAboutEqualSize) {
  MakeModelOptions options;
  options.layers = 6;
  options.shards = 4;
  const SafetensorsFolder folder(make(options));
  ASSERT_EQ(folder.files().size(), 4u);
  for (const auto& file : folder.files()) {
    EXPECT_GT(file.file_bytes(), folder.tensor_bytes() / 6);
    EXPECT_LT(file.file_bytes(), folder.tensor_bytes() / 3);
  }
}

}  // namespace
}  // namespace shardquant::model
