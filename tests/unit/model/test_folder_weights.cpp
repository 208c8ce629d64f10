#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/api/half_types.hpp"
#include "pipeline/evaluation/evaluate_rows.hpp"
#include "pipeline/formats/safetensors_writer.hpp"
#include "pipeline/formats/weights/exl2/exl2_layer.hpp"
#include "pipeline/formats/weights/exl2/rewrite_config.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "tests/oracle/exl2_weight.hpp"
#include "tests/support/backend_test.hpp"
#include "tests/support/make_model.hpp"
#include "tests/support/opened_model.hpp"
#include "tests/support/temp_directory.hpp"

namespace shardquant::tests {
namespace {

namespace fs = std::filesystem;
using kernels::RowGroup;

/// Tensors on their way into one model.safetensors.
class TensorFile {
 public:
  void add(formats::TensorSpec spec, std::span<const std::byte> bytes) {
    specs_.push_back(std::move(spec));
    bytes_.emplace_back(bytes.begin(), bytes.end());
  }
  void write(const fs::path& path) const {
    const formats::SafetensorsLayout layout = formats::lay_out_safetensors(specs_);
    std::vector<char> file(static_cast<std::size_t>(layout.file_bytes));
    std::copy(layout.header.begin(), layout.header.end(), file.begin());
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      std::memcpy(file.data() + layout.offsets[i], bytes_[i].data(), bytes_[i].size());
    }
    std::ofstream(path, std::ios::binary).write(file.data(), std::ssize(file));
  }

 private:
  std::vector<formats::TensorSpec> specs_;
  std::vector<std::vector<std::byte>> bytes_;
};

/// A layer of random codes in 6, 4 and 3 bits, and the weight [N, K] it decodes to, element by
/// element.
struct RandomExl2Layer {
  exl2::Exl2Layer packed;
  std::vector<std::uint16_t> decoded;

  RandomExl2Layer(const model::LinearLayer& layer, std::span<const std::uint16_t> bias,
                  std::mt19937_64& random) {
    std::vector<RowGroup> groups;
    for (std::int64_t row = 0; row < layer.inputs; row += 32) {
      groups.push_back({row, 32, row == 0 ? 6 : row <= layer.inputs / 2 ? 4 : 3});
    }
    std::vector<std::uint8_t> codes(layer.parameters());
    std::vector<std::uint8_t> scales(groups.size() * layer.outputs);
    std::vector<std::uint16_t> scale_max(groups.size());
    std::vector<std::int32_t> perm(layer.inputs);
    for (auto& scale : scales) scale = static_cast<std::uint8_t>(random() % 16);
    std::iota(perm.begin(), perm.end(), 0);
    std::shuffle(perm.begin(), perm.end(), random);
    decoded.resize(layer.parameters());
    for (std::size_t g = 0; g < groups.size(); ++g) {
      scale_max[g] = kernels::to_half(0.3f / static_cast<float>(1 << groups[g].bits)).bits;
      for (std::int64_t row = groups[g].first_row; row < groups[g].first_row + 32; ++row) {
        for (std::int64_t n = 0; n < layer.outputs; ++n) {
          const auto code = static_cast<std::uint8_t>(random() % (1u << groups[g].bits));
          codes[row * layer.outputs + n] = code;
          const double maximum = kernels::to_float(kernels::Half{scale_max[g]});
          decoded[n * layer.inputs + perm[row]] =
              kernels::to_half(static_cast<float>(oracle::exl2_weight(
                                   code, groups[g].bits, scales[g * layer.outputs + n], maximum)))
                  .bits;
        }
      }
    }
    kernels::QuantizedMatrix matrix;
    matrix.groups = groups;
    matrix.codes = codes;
    matrix.scale_codes = scales;
    matrix.scale_max = scale_max;
    packed = exl2::pack_exl2_layer(model::shape_of(layer), matrix, perm, bias);
  }
};

/// A plain folder and an EXL2 folder that hold the same numbers.
struct EqualFolders {
  TempDirectory directory;
  std::vector<std::vector<std::uint16_t>> weights;  ///< by layer, [N, K]; empty for the head

  explicit EqualFolders(const MakeModelOptions& options) {
    make_model(source(), options);
    const OpenedModel opened(source());
    std::mt19937_64 random(3);
    TensorFile plain_file;
    TensorFile exl2_file;
    for (const model::LinearLayer& layer : opened.layout.linear_layers) {
      std::vector<std::uint16_t> bias(layer.has_bias ? layer.outputs : 0);
      if (layer.has_bias) model::read_halves(opened.folder, layer.key + ".bias", 0, bias);
      if (layer.is_head) {
        copy(opened, "lm_head.weight", plain_file, exl2_file);
        weights.emplace_back();
        continue;
      }
      const RandomExl2Layer made(layer, bias, random);
      weights.push_back(made.decoded);
      plain_file.add({layer.key + ".weight", formats::Dtype::f16, {layer.outputs, layer.inputs}},
                     std::as_bytes(std::span(made.decoded)));
      if (layer.has_bias) {
        plain_file.add({layer.key + ".bias", formats::Dtype::f16, {layer.outputs}},
                       std::as_bytes(std::span(bias)));
      }
      const auto specs = exl2::exl2_tensor_specs(layer.key, layer.inputs, layer.outputs,
                                                 made.packed.groups, layer.has_bias);
      const auto bytes = exl2::exl2_tensor_bytes(made.packed);
      for (std::size_t i = 0; i < specs.size(); ++i) exl2_file.add(specs[i], bytes[i]);
    }
    for (const model::PlainTensor& tensor : opened.layout.plain_tensors) {
      copy(opened, tensor.name, plain_file, exl2_file);
    }
    fs::create_directories(plain());
    fs::create_directories(exl2());
    fs::copy_file(source() / "config.json", plain() / "config.json");
    std::ofstream(exl2() / "config.json") << exl2::rewrite_config(
        opened.description.config_text, "config.json", {4.0, 16, 1, 1, "x", {}});
    plain_file.write(plain() / "model.safetensors");
    exl2_file.write(exl2() / "model.safetensors");
  }

  fs::path source() const { return directory.path() / "source"; }
  fs::path plain() const { return directory.path() / "plain"; }
  fs::path exl2() const { return directory.path() / "exl2"; }

 private:
  static void copy(const OpenedModel& from, const std::string& name, TensorFile& a, TensorFile& b) {
    const formats::TensorInfo& tensor = from.folder.at(name);
    const std::vector<std::byte> bytes = from.folder.read_all(name);
    a.add({name, tensor.dtype, tensor.shape}, bytes);
    b.add({name, tensor.dtype, tensor.shape}, bytes);
  }
};

class FolderWeightsTest : public BackendTest {};

TEST_P(FolderWeightsTest, Exl2LayersAreTheDecodedNumbersInTheOrderOfTheInputs) {
  MakeModelOptions options;
  options.family = "qwen2";  // q, k, v have a bias
  options.layers = 1;
  options.hidden = 96;
  options.heads = 3;
  options.kv_heads = 1;
  options.ffn = 160;
  options.vocab = 64;
  const EqualFolders folders(options);
  const OpenedModel exl2(folders.exl2());
  const OpenedModel plain(folders.plain());
  for (std::int64_t layer = 0; layer < exl2.layout.block_layers(); ++layer) {
    SCOPED_TRACE(exl2.layout.linear_layers[layer].key);
    const std::vector<float> loaded = to_host(exl2.weights.weight(*backend, layer));
    const std::vector<std::uint16_t>& expected = folders.weights[layer];
    ASSERT_EQ(loaded.size(), expected.size());
    std::int64_t different = 0;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      different += loaded[i] != kernels::to_float(kernels::Half{expected[i]}) ? 1 : 0;
    }
    EXPECT_EQ(different, 0);
    EXPECT_EQ(to_host(exl2.weights.bias(*backend, layer)),
              to_host(plain.weights.bias(*backend, layer)));
    EXPECT_EQ(exl2.weights.bias(*backend, layer).empty(), layer > 2);
  }
}

TEST_P(FolderWeightsTest, AnExl2FolderHasTheLossOfItsDecodedTwin) {
  MakeModelOptions options;
  options.hidden = 64;
  options.ffn = 96;
  options.vocab = 80;
  const EqualFolders folders(options);
  make_tokens(folders.directory.path() / "tokens.i32", 4 * 33, 80, 5);
  const formats::TokenStream tokens(folders.directory.path() / "tokens.i32");
  std::vector<double> losses;
  for (const fs::path& path : {folders.exl2(), folders.plain()}) {
    const OpenedModel opened(path);
    for (const auto& row : evaluation::evaluate_rows(
             *backend, {opened.description, opened.layout, opened.weights}, tokens, {0, 4, 33})) {
      losses.push_back(row.nll);
    }
  }
  ASSERT_EQ(losses.size(), 8u);
  for (std::size_t row = 0; row < 4; ++row) EXPECT_EQ(losses[row], losses[row + 4]);
}

INSTANTIATE_FOR_BACKENDS(FolderWeightsTest);

}  // namespace
}  // namespace shardquant::tests
